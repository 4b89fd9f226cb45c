"""How do I back up a Django application, and get it back? `python manage.py backup run`, and `restore`.

See docs/how-to/back-up-a-django-application.md.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
