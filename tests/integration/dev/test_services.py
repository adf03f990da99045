"""dev/services: real servers, in a folder of this test's own, beside whatever else runs."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kafka import make_topics, topics_of

SCRIPT = Path(__file__).resolve().parents[3] / "dev/services"
ADDRESSES = {
    "postgres": "TESSERA_TEST_POSTGRES_URL",
    "redis": "TESSERA_TEST_REDIS_URL",
    "kafka": "TESSERA_TEST_KAFKA_SERVERS",
}


class Services:
    """The script, with a folder of its own and no address in the environment."""

    def __init__(self, folder: Path) -> None:
        self.environ = {
            name: it for name, it in os.environ.items() if name not in ADDRESSES.values()
        }
        self.environ |= {"TESSERA_TEST_SERVICES_DIR": str(folder), "PYTHON": sys.executable}

    def __call__(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run it and wait."""
        return subprocess.run(
            [str(SCRIPT), *words],
            env=self.environ | environ,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def addresses(self) -> dict[str, str]:
        """What `env` prints."""
        lines = self("env").stdout.splitlines()
        return dict(line.split("=", 1) for line in lines)

    def pid(self, service: str) -> int:
        """The process that `status` shows."""
        [line] = [it for it in self("status").stderr.splitlines() if it.startswith(service)]
        return int(line.split("process ")[1].rstrip(")"))


@pytest.fixture
def services() -> Iterator[Services]:
    """Ended after the test; not in tmp_path, which the user of PostgreSQL cannot reach."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        script = Services(Path(folder) / "services")
        yield script
        script("down", "--wipe")


def alive(pid: int) -> bool:
    """Whether a process of that number runs."""
    return Path(f"/proc/{pid}/cmdline").exists() and bool(Path(f"/proc/{pid}/cmdline").read_bytes())


@pytest.fixture(params=["postgres", "redis"])
def name(request: pytest.FixtureRequest, services: Services) -> str:
    """A server that `up` has started; one that cannot be had, and is not required, is left out."""
    return started(services, str(request.param))


def started(services: Services, service: str) -> str:
    """`up`, or skip."""
    done = services("up", service)
    required = os.environ.get("TESSERA_TEST_REQUIRE", "").split(",")
    if done.returncode and service not in required:
        pytest.skip(done.stderr.splitlines()[0])
    assert done.returncode == 0, done.stderr
    if "process" not in done.stderr:
        pytest.skip("it came from Docker")
    return service


def test_up_twice_is_up_once(services: Services, name: str) -> None:
    """A second `up` finds the server of the first."""
    first = services.pid(name)
    assert services("up", name).returncode == 0
    assert services.pid(name) == first


def test_env_names_the_address_twice(services: Services, name: str) -> None:
    """`env` prints one loopback address: for the tests, and as a setting of the program."""
    found = services.addresses()
    assert len(found) == 2
    assert len(set(found.values())) == 1
    assert "@127.0.0.1:" in found[ADDRESSES[name]]


def test_down_ends_what_up_started(services: Services, name: str) -> None:
    """After `down` the process is gone, and `status` and `env` say so."""
    pid = services.pid(name)
    assert services("down").returncode == 0
    assert not alive(pid)
    assert services("status").returncode == 1
    assert services.addresses() == {}


def test_restart_keeps_the_address(services: Services, name: str) -> None:
    """`restart` gives another process at the same address."""
    pid, address = services.pid(name), services.addresses()
    assert services("restart", name).returncode == 0
    assert services.pid(name) != pid
    assert services.addresses() == address


@pytest.mark.kafka
def test_kafka_goes_through_the_same_verbs(services: Services) -> None:
    """One address, no password; `restart` keeps it and the topics, `down` ends the process."""
    started(services, "kafka")
    pid, address = services.pid("kafka"), services.addresses()
    servers = address["TESSERA_KAFKA__BOOTSTRAP_SERVERS"]
    assert servers == address["TESSERA_TEST_KAFKA_SERVERS"]
    make_topics(servers, "kept")
    assert services("restart", "kafka").returncode == 0
    assert services.addresses() == address
    assert topics_of(servers, "kept") == {"kept": 1}
    assert not alive(pid)
    pid = services.pid("kafka")
    services("down")
    assert not alive(pid)


def test_several_brokers_are_one_address(services: Services) -> None:
    """The environment may name several brokers, with commas; they are not started here."""
    given = "127.0.0.1:9,127.0.0.1:10"
    done = services("up", "kafka", TESSERA_TEST_KAFKA_SERVERS=given)
    assert done.returncode == 1
    assert "does NOT answer" in done.stderr
    lines = services("env", "kafka", TESSERA_TEST_KAFKA_SERVERS=given).stdout.splitlines()
    assert f"TESSERA_KAFKA__BOOTSTRAP_SERVERS={given}" in lines


def test_data_outlives_down(services: Services) -> None:
    """PostgreSQL comes back after `down` and `up` with the same password, since its data stayed."""
    if services("up", "postgres").returncode:
        pytest.skip("no PostgreSQL on this machine")
    before = services.addresses()["TESSERA_DATABASE__URL"].split("@")[0]
    services("down")
    assert services("up", "postgres").returncode == 0
    assert services.addresses()["TESSERA_DATABASE__URL"].split("@")[0] == before


def test_an_address_in_the_environment_goes_first(services: Services) -> None:
    """With an address given nothing is started; one that does not answer is said, and is a 1."""
    given = "redis://127.0.0.1:9/0"
    done = services("up", "redis", TESSERA_TEST_REDIS_URL=given)
    assert done.returncode == 1
    assert "does NOT answer" in done.stderr
    assert (
        f"TESSERA_TEST_REDIS_URL={given}"
        in services("env", "redis", TESSERA_TEST_REDIS_URL=given).stdout.splitlines()
    )


def test_what_is_missing_is_named_with_what_to_do(services: Services, tmp_path: Path) -> None:
    """Without Redis on the machine `up` is a 1 and says how to get one; nothing is installed."""
    bare = tmp_path / "bin"
    bare.mkdir()
    for program in ("bash", "env", "dirname"):
        (bare / program).symlink_to(shutil.which(program) or "")
    done = services("up", "redis", PATH=str(bare))
    assert done.returncode == 1
    assert "no redis-server" in done.stderr
    assert "dev/services up --install" in done.stderr


APT = """#!/bin/sh
echo "$@" >> {folder}/apt.log
case "$*" in *install*) exec ln -s {program} {folder}/redis-server;; esac
"""


def test_install_gets_the_programs_also_where_docker_answers(
    services: Services, tmp_path: Path
) -> None:
    """Some tests start servers of their own: `--install` is kept, and without it nothing is got."""
    for program in ("bash", "env", "dirname", "ln", "sh"):
        (tmp_path / program).symlink_to(shutil.which(program) or "")
    apt = APT.format(folder=tmp_path, program=shutil.which("true"))
    fakes = {"docker": "#!/bin/sh\n", "sudo": '#!/bin/sh\nshift; exec "$@"\n', "apt-get": apt}
    for name, text in fakes.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    services("up", "redis", PATH=str(tmp_path))
    assert not (tmp_path / "apt.log").exists()
    services("up", "redis", "--install", PATH=str(tmp_path))
    assert "install -y --no-install-recommends redis-server" in (tmp_path / "apt.log").read_text()
    services("up", "--install", "redis", PATH=str(tmp_path))
    assert (tmp_path / "apt.log").read_text().count("update") == 1


def test_install_that_cannot_be_is_said_where_docker_gives_the_server(
    services: Services, tmp_path: Path
) -> None:
    """Without apt-get, `--install` does not end what Docker can do; it says what will be missed."""
    for program in ("bash", "env", "dirname", "sh"):
        (tmp_path / program).symlink_to(shutil.which(program) or "")
    (tmp_path / "docker").write_text("#!/bin/sh\n")
    (tmp_path / "docker").chmod(0o755)
    done = services("up", "redis", "--install", PATH=str(tmp_path))
    assert "not installed: --install knows apt-get only" in done.stderr
    assert "redis: " in done.stderr.splitlines()[-1]
    (tmp_path / "docker").unlink()
    ended = services("up", "redis", "--install", PATH=str(tmp_path))
    assert ended.stderr.startswith("dev/services: --install knows apt-get only")
    assert ended.returncode == 1


def test_an_unknown_service_is_wrong_usage(services: Services) -> None:
    """A service that it does not know is a 2, and the known ones are named."""
    done = services("up", "mysql")
    assert done.returncode == 2
    assert "there are postgres, redis, kafka" in done.stderr
