"""Which Redis is the store, under which prefix, and how it is reached."""

import shutil
import subprocess

import pytest

from celery_health.conf import Settings
from celery_health.deadline import Deadline
from celery_health.exceptions import ConfigurationError
from celery_health.store.opening import open_store
from embedded import RedisStartError
from tests.store.conftest import Writer, read
from tests.support import Sentinel, free_port

AMQP = "amqp://guest@127.0.0.1:1//"


def opened(app, **settings):
    return open_store(app, Settings(**{"app_id": "shop", **settings}))


# Which -------------------------------------------------------------------------------------------------


def test_open__a_redis_broker_is_the_store(make_app):
    store = opened(make_app("redis://:s3cr3t@host:6400/3"))
    assert store.url == "redis://:**@host:6400/3"
    assert store.keys.prefix == "celery_health:shop:"


def test_open__else_a_redis_result_backend(make_app):
    app = make_app(
        AMQP,
        result_backend="redis://:s3cr3t@results:6379/1",
        result_backend_transport_options={"global_keyprefix": "results:"},
    )
    store = opened(app)
    assert store.url == "redis://:**@results:6379/1"
    assert store.keys.prefix == "results:celery_health:shop:"


@pytest.mark.parametrize(
    "result_backend", [None, "rpc://", "db+sqlite:///x.db", "disabled", "cache+memory://"]
)
def test_open__else_there_is_none(make_app, result_backend):
    assert opened(make_app(AMQP, result_backend=result_backend)) is None
    assert opened(make_app("memory://", result_backend=result_backend)) is None
    assert opened(make_app("sqs://", result_backend=result_backend)) is None  # its library is not installed


def test_open__store_url_wins(make_app):
    app = make_app("redis://broker:6379/0", broker_transport_options={"global_keyprefix": "mine:"})
    store = opened(app, store_url="redis://elsewhere:6379/2")
    assert store.url == "redis://elsewhere:6379/2"
    assert store.keys.prefix == "mine:celery_health:shop:"


def test_open__the_url_for_writing_not_the_replica_for_reading(make_app):
    app = make_app(None, broker_read_url="redis://replica:6379/0", broker_write_url="redis://master:6379/0")
    assert opened(app).url == "redis://master:6379/0"


def test_open__prefix_from_the_broker_the_app_or_the_setting(make_app):
    app = make_app("redis://host/0", broker_transport_options={"global_keyprefix": "team-a:"})
    assert opened(app).keys.prefix == "team-a:celery_health:shop:"
    assert open_store(app, Settings()).keys.prefix == "team-a:celery_health:tests:"
    assert opened(app, store_prefix="x:").keys.prefix == "x:"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("amqp://me:s3cr3t@host//", "set the URL of a Redis"),
        ("host:6379", "set the URL of a Redis"),
        ("sentinel://:s3cr3t@host:26379/0", "add ?master_name=..."),
        ("redis://:s3cr3t@host:port/0", "kombu cannot use"),
    ],
)
def test_open__a_store_url_that_is_none_is_named(make_app, url, says):
    with pytest.raises(ConfigurationError) as raised:
        opened(make_app(AMQP), store_url=url)
    assert "CELERY_HEALTH['STORE_URL']" in str(raised.value)
    assert says in str(raised.value)
    assert "s3cr3t" not in str(raised.value)


# How ---------------------------------------------------------------------------------------------------


def works(store):
    Writer(store).publish({"a": 1})
    return read(store).totals == {"a": 1}


def test_reach__global_keyprefix_is_in_front_of_every_key(open_store_at, redis_url, redis_client):
    store = open_store_at(redis_url, broker_transport_options={"global_keyprefix": "team-a:"})
    assert works(store)
    assert all(key.startswith(b"team-a:celery_health:shop:") for key in redis_client.scan_iter())


def test_reach__password_and_user(open_store_at, own_redis):
    server = own_redis(password="pass/wo:rd@1", acl=["shop on >secret-2 ~celery_health:* +@all"])
    assert works(open_store_at(server.url))
    assert works(open_store_at(server.url_for(user="shop", password="secret-2"), settings={"app_id": "two"}))


def test_reach__database_number(open_store_at, redis_server, redis_client):
    assert works(open_store_at(redis_server.url_for(db=5)))
    assert redis_client.dbsize() == 0


def test_reach__unix_socket_as_broker_and_as_store_url(open_store_at, redis_server, redis_url):
    assert works(open_store_at(f"redis+socket://{redis_server.unix_socket}"))
    url = f"redis+socket://{redis_server.unix_socket}?virtual_host=3"
    assert works(open_store_at(AMQP, settings={"store_url": url}))


def test_reach__sentinel(open_store_at, own_redis):
    server = own_redis(password="a-password")
    with Sentinel(server) as sentinel:
        url = f"sentinel://:a-password@127.0.0.1:{sentinel.port}/0"
        store = open_store_at(url, broker_transport_options={"master_name": sentinel.master_name})
        assert works(store)
        by_setting = open_store_at(
            AMQP, settings={"store_url": f"{url}?master_name={sentinel.master_name}", "app_id": "two"}
        )
        assert works(by_setting)
        store.close()
        by_setting.close()


def test_reach__sentinel_that_is_down_is_an_error_in_time(open_store_at):
    store = open_store_at("sentinel://127.0.0.1:1/0", broker_transport_options={"master_name": "main"})
    with pytest.raises(Exception, match="did not take the call"):
        store.read(Deadline.after(1))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of its own authority for 127.0.0.1."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("NOT RUN: openssl is not installed, which makes the certificate of this test.")
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        [
            openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            "-keyout", str(key), "-out", str(cert), "-subj", "/CN=localhost",
            "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return key, cert


@pytest.fixture
def tls_port(own_redis, certificate):
    key, cert = certificate
    port = free_port()
    args = ("--tls-port", str(port), "--tls-cert-file", str(cert), "--tls-key-file", str(key))
    try:
        own_redis(args=(*args, "--tls-ca-cert-file", str(cert), "--tls-auth-clients", "no"))
    except RedisStartError as error:
        if "Bad directive" not in str(error) and "TLS support" not in str(error):
            raise
        pytest.skip("NOT RUN: this redis-server was built without TLS.")
    return port


def test_reach__tls_as_the_broker_is_reached(open_store_at, tls_port, certificate):
    _, cert = certificate
    url = f"rediss://127.0.0.1:{tls_port}/0"
    ssl = {"ssl_cert_reqs": "required", "ssl_ca_certs": str(cert)}
    assert works(open_store_at(url, broker_use_ssl=ssl))
    in_url = f"{url}?ssl_cert_reqs=required&ssl_ca_certs={cert}"
    assert works(open_store_at(AMQP, settings={"store_url": in_url, "app_id": "two"}))
    # A store URL without options of its own takes the broker's.
    assert works(open_store_at(AMQP, broker_use_ssl=ssl, settings={"store_url": url, "app_id": "three"}))


def test_reach__tls_without_the_authority_is_refused(open_store_at, tls_port):
    store = open_store_at(f"rediss://127.0.0.1:{tls_port}/0?ssl_cert_reqs=required")
    with pytest.raises(Exception, match="certificate verify failed"):
        read(store)
