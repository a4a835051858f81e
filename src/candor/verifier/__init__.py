"""The trained model in use: verdicts on claims, and the folder that hands it on."""

from candor.verifier.verdict import Verdict
from candor.verifier.verifier import Verifier

__all__ = ["Verdict", "Verifier"]
