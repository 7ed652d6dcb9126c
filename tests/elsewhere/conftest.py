"""Tests of models and SAEs that come in."""
