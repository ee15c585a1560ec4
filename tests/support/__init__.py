"""The test harness: real servers, real workers, and networks that fail on demand."""

from tests.support.celery import Beat, Response, WebServer, Worker, project_env
from tests.support.polling import always, eventually
from tests.support.ports import free_port, is_listening, unanswered_port
from tests.support.processes import ROOT, ManagedProcess
from tests.support.proxy import Proxy
from tests.support.rabbitmq import RabbitServer, find_rabbitmq_server
from tests.support.redis import RedisServer, Sentinel

__all__ = [
    "ROOT",
    "Beat",
    "ManagedProcess",
    "Proxy",
    "RabbitServer",
    "RedisServer",
    "Response",
    "Sentinel",
    "WebServer",
    "Worker",
    "always",
    "eventually",
    "find_rabbitmq_server",
    "free_port",
    "is_listening",
    "project_env",
    "unanswered_port",
]
