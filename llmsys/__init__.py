"""The small library that the lessons of *LLM Systems in notebooks* import."""

__version__ = "0.1.0"
