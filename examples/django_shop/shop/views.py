"""The shop itself."""

from __future__ import annotations

import json

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpRequest, HttpResponseBase, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from shop.models import Product


@csrf_exempt
def products(request: HttpRequest) -> HttpResponseBase:
    """All products; a POST adds one."""
    if request.method == "POST":
        Product.objects.create(name=json.loads(request.body)["name"])
    names = list(Product.objects.order_by("name").values_list("name", flat=True))
    return JsonResponse({"products": names}, status=201 if request.method == "POST" else 200)


@csrf_exempt
def photo(request: HttpRequest, name: str) -> HttpResponseBase:
    """A photo; a PUT stores it."""
    if request.method == "PUT":
        default_storage.delete(name)
        return JsonResponse({"stored": default_storage.save(name, ContentFile(request.body))}, status=201)
    if not default_storage.exists(name):
        raise Http404
    return FileResponse(default_storage.open(name))
