"""The trained model in use: verdicts on claims, and the folder that hands it on."""

from candor.verifier.verifier import Verdict, Verifier

__all__ = ["Verdict", "Verifier"]
