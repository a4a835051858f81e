"""A model on this machine: torch, transformers and PEFT."""
