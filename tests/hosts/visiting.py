"""The status page in a released application: where its URLs are, a server over it, who is logged in."""

from __future__ import annotations

import html
import json
import re
import shlex
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from email.message import Message
from typing import Any
from urllib.parse import urljoin, urlsplit

from tests.hosts.application import Application
from tests.hosts.deployment import Deployment
from tests.support import ManagedProcess, eventually
from tests.support.ports import free_port

PREFIX = "/celery/"
#: Modules of the operator's that put our URLs among the application's, and the settings that name them.
_BESIDE = """
from django.urls import include, path
from {urls} import *
from {urls} import urlpatterns as theirs

urlpatterns = [path("celery/", include("celery_health.urls")), *theirs]
"""
_SERVER = """
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from {module} import application

class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

server = Server(("127.0.0.1", int(sys.argv[1])), WSGIRequestHandler)
server.set_app(application)
server.serve_forever()
"""
_SESSION = """
import django; django.setup()
import json
from importlib import import_module
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model

User = get_user_model()
keys = {}
for name in ("staff", "user"):
    given = {User.USERNAME_FIELD: f"{name}@example.com", "email": f"{name}@example.com"}
    user = User.objects.filter(**{User.USERNAME_FIELD: given[User.USERNAME_FIELD]}).first() or User(**given)
    for right in ("is_staff", "is_superuser"):
        try:
            setattr(user, right, name == "staff")
        except AttributeError:
            pass  # one follows from the other there
    user.set_password("secret")
    user.save()
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[-1]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    keys[name] = session.session_key
print(json.dumps({"cookie": settings.SESSION_COOKIE_NAME, "keys": keys}))
"""


@dataclass(frozen=True, kw_only=True)
class Mount:
    """How an operator puts the page into an application."""

    wsgi: str
    settings: str
    modules: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    """``{port}`` is filled in, as in the settings."""


_HTTP = """
ROOT_URLCONF = "own_urls"
ALLOWED_HOSTS = ["*"]
DEBUG = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = False
"""
MOUNTS = {
    # Its URLs are chosen by the host, and have a place for plugins.
    "pretix": Mount(
        wsgi="pretix.wsgi",
        settings='\nINSTALLED_APPS = [*INSTALLED_APPS, "shop_celery.Plugin"]\n',
        modules={
            "shop_celery/__init__": """
from django.apps import AppConfig

class Plugin(AppConfig):
    name = "shop_celery"

    class PretixPluginMeta:
        name = author = description = compatibility = "shop"
        version = "1"
        visible = restricted = False
""",
            "shop_celery/urls": """
from django.urls import include, path

urlpatterns = [path("celery/", include("celery_health.urls"))]
""",
        },
        env={"PRETIX_PRETIX_URL": "http://127.0.0.1:{port}"},
    ),
    "weblate": Mount(
        wsgi="weblate.wsgi",
        settings=_HTTP + 'SITE_DOMAIN = "127.0.0.1:{port}"\nSITE_URL = "http://127.0.0.1:{port}"\n',
        modules={"own_urls": _BESIDE.format(urls="weblate.urls")},
    ),
    "mayan-edms": Mount(
        wsgi="mayan.wsgi", settings=_HTTP, modules={"own_urls": _BESIDE.format(urls="mayan.urls.base")}
    ),
}


def mounted(application: Application, port: int) -> Application:
    """Return the application as it is where the page is in it, at a port."""
    mount = MOUNTS[application.name]
    env = {name: value.replace("{port}", str(port)) for name, value in mount.env.items()}
    return replace(application, env={**application.env, **env})


class Visit:
    """A server of the application's, and visitors."""

    def __init__(self, host: Deployment, port: int) -> None:
        self.host = host
        self.port = port
        self.address = f"http://127.0.0.1:{port}"
        self.cookie = ""
        self.keys: dict[str, str] = {}
        self.server: ManagedProcess | None = None

    def open(self) -> None:
        """Configure, log visitors in, start the server, and wait until it answers."""
        mount = MOUNTS[self.host.application.name]
        modules = {**mount.modules, "serve": _SERVER.format(module=mount.wsgi)}
        for name, source in modules.items():
            path = self.host.folder / f"{name}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(source)
        self.host.configure(mount.settings.replace("{port}", str(self.port)))
        told = json.loads(self.host.run(f"python -c {shlex.quote(_SESSION)}").splitlines()[-1])
        self.cookie, self.keys = told["cookie"], told["keys"]
        argv = ["python", "serve.py", str(self.port)]
        self.server = ManagedProcess(argv, name="web", env=self.host.env, cwd=self.host.folder)
        self.server.start()
        self.host.processes.append(self.server)
        eventually(self._answers, 180, interval=0.5)

    def _answers(self) -> bool:
        assert self.server is not None
        if not self.server.running:
            raise RuntimeError(f"The server ended: {self.server.log[-3000:]}")
        try:
            return self.get(f"{PREFIX}live/")[0] == 200
        except OSError:
            return False

    def get(self, path: str, who: str | None = None) -> tuple[int, Message, str]:
        """Return status, headers and body of an answer to ``staff``, a ``user``, or nobody."""
        request = urllib.request.Request(self.address + path)
        if who is not None:
            request.add_header("Cookie", f"{self.cookie}={self.keys[who]}")
        opener = urllib.request.build_opener(_Stay)
        try:
            answer = opener.open(request, timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return answer.status or 0, answer.headers, answer.read().decode(errors="replace")

    def walk(self, who: str, most: int) -> dict[str, int]:
        """Return address → status of what can be reached from the page."""
        todo, seen = [PREFIX], dict[str, int]()
        while todo and len(seen) < most:
            address = todo.pop()
            if address in seen:
                continue
            seen[address], headers, body = self.get(address, who)
            if "html" in (headers.get("Content-Type") or ""):
                for found in re.findall(r'(?:href|src|action)="([^"]*)"', body):
                    link = urljoin(address, html.unescape(found)).partition("#")[0]
                    if not urlsplit(link).netloc and link.startswith(PREFIX):
                        todo.append(link)
        return seen


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


def main() -> None:
    """Show where the page of an application is: ``python -m tests.hosts.visiting pretix``."""
    from tests.hosts.test_hosts import APPLICATIONS

    (application,) = [one for one in APPLICATIONS if one.name == sys.argv[1]]
    port = free_port()
    with Deployment(mounted(application, port)) as host:
        visit = Visit(host, port)
        visit.open()
        host.start(host.few_commands)
        print(f"{visit.address}{PREFIX}  Cookie: {visit.cookie}={visit.keys['staff']}")
        input("Press Enter to end. ")


if __name__ == "__main__":
    main()
