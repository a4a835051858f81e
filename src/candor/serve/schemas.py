"""What goes over the wire."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MAX_CLAIM = 4_000
MAX_SENTENCE = 8_000
MAX_SENTENCES = 64

Sentence = Annotated[str, StringConstraints(min_length=1, max_length=MAX_SENTENCE, pattern=r"\S")]


class Question(BaseModel):
    """A claim to be judged by its evidence."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [{"claim": "Owls are birds.", "evidence": ["Owls are solitary and nocturnal birds of prey."]}]
        },
    )

    claim: Annotated[str, StringConstraints(min_length=1, max_length=MAX_CLAIM, pattern=r"\S")]
    evidence: list[Sentence] = Field(max_length=MAX_SENTENCES, description="sentences in order; may be empty")


class LabelProbs(BaseModel):
    """Probabilities of the three labels; they sum to 1."""

    PASS: float = Field(ge=0, le=1)
    FAIL: float = Field(ge=0, le=1)
    NA: float = Field(ge=0, le=1)


class Answer(BaseModel):
    """The model's verdict."""

    label: Literal["PASS", "FAIL", "NA"]
    confidence: float = Field(ge=0, le=1, description="as the model states it")
    label_probs: LabelProbs
    valid_mass: float = Field(ge=0, le=1, description="probability of all answers in the asked form")
    accepted: bool | None = Field(
        description="whether the answer passes the abstention threshold; null where there is none. "
        "An answer that is not accepted should be shown as 'I don't know'."
    )
    evidence_dropped: int = Field(ge=0, description="sentences left out at the end because the prompt was too long")
    evidence_cut: int = Field(
        ge=0, description="characters cut from the end of the one sentence shown, which was longer than all room"
    )
    unfamiliar: bool | None = Field(
        default=None,
        description="whether the claim looks unlike those that the threshold was chosen on and holds for; "
        "null where too little is known of them",
    )


class Health(BaseModel):
    """That the service is there."""

    status: Literal["ok"]
    model: str
    waiting: int = Field(ge=0, description="claims that wait for the model")


class Problem(BaseModel):
    """Why there is no verdict."""

    detail: str
