"""What is sold."""

from __future__ import annotations

from django.db import models


class Product(models.Model):
    """A product."""

    name: models.CharField[str, str] = models.CharField(max_length=100, unique=True)

    def __str__(self) -> str:
        return str(self.name)
