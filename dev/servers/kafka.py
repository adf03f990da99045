"""Apache Kafka, one process that is broker and controller, by the Java of this machine.

Its jars come from Maven as dev/kafka/pom.xml pins them, once: they stay in var/kafka/.
"""

from __future__ import annotations

import base64
import hashlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import uuid
from pathlib import Path

from dev.servers.base import Missing, Running, Service, free_port, home, run, spawn, wait_until

ROOT = Path(__file__).resolve().parents[2]
POM = ROOT / "dev" / "kafka" / "pom.xml"
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin"
MAVEN_SECONDS = 400.0
STARTED = b"Kafka Server started"  # its words once clients are answered, not only accepted

# Quick to start and small; the level of its words is that of slf4j-simple.
JAVA_OPTIONS = (
    "-Xms64m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
)

# Nothing is made by itself, as on a cluster that somebody runs: who wants a topic makes it.
PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller}
log.dirs={folder}/data
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.cleaner.dedupe.buffer.size=8388608
log.segment.bytes=67108864
"""


def java() -> Path:
    """The program that runs it: Java 17 or later."""
    found = shutil.which("java")
    if found is None:
        raise Missing("no java on this machine")
    words = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', words)
    if version is None or int(version[1]) < 17:
        raise Missing(f"Kafka needs Java 17 or later, and this is {words.splitlines()[:1]}")
    return Path(found)


def jars() -> Path:
    """The folder of the jars that the pom names, whether it is there or not."""
    name = hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    kept = ROOT / "var" if os.access(ROOT, os.W_OK) else home()
    return kept / "kafka" / name


def programs() -> Path:
    """Java, when the jars are there too or Maven can get them."""
    found = java()
    if not jars().exists() and shutil.which("mvn") is None:
        raise Missing("no jars of Kafka yet, and no mvn to get them")
    return found


def maven(*words: str) -> None:
    """Run Maven; raises Missing with its own reason, which it gives on stdout."""
    command = ["mvn", "-B", "-q", "-Dstyle.color=never", *words]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=MAVEN_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise Missing(f"mvn was not done after {MAVEN_SECONDS:.0f} s") from None
    if done.returncode:
        text = (done.stdout + done.stderr).replace("\33[0m", "")  # which it writes in any case
        lines = [it for it in text.splitlines() if it.strip()]
        reasons = [it for it in lines if "[ERROR]" in it] or lines[-5:]
        raise Missing(f"mvn failed: {' '.join(reasons)[:700]}")


def repository(spare: Path) -> list[str]:
    """Where Maven keeps what it gets: below `spare` for a user who has no home to write to."""
    try:
        own = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:  # a container may give any number
        own = ""
    return [] if os.access(own, os.W_OK) else [f"-Dmaven.repo.local={spare / 'repository'}"]


def get_jars() -> Path:
    """The folder of the jars; filled by Maven the first time. Raises Missing with Maven's words."""
    there = jars()
    if there.exists():
        return there
    there.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=there.parent) as part:
        lib = Path(part) / "lib"
        goal = (f"{PLUGIN}:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={lib}")
        maven(*repository(Path(part)), "-f", str(POM), *goal)
        lib.chmod(0o755)
        if not there.exists():  # another start may have been quicker
            lib.rename(there)
    return there


class Broker:
    """One Kafka on loopback, its data in `folder`; a test may have one of its own to end."""

    def __init__(self, folder: Path, port: int, *, more: str = "") -> None:
        """`more` are further lines of its properties; a later line overrides an earlier one."""
        self.folder = folder
        self.port = port
        self.more = more
        self.log = folder / "kafka.log"
        self.config = folder / "server.properties"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def servers(self) -> str:
        """What a client takes as its bootstrap servers."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> int:
        """Start it on what it holds and wait until it serves: its process id. Raises Missing."""
        program = [str(programs()), *JAVA_OPTIONS, "-cp", f"{get_jars()}/*"]
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        controller = free_port(self.port + 1)
        text = PROPERTIES.format(port=self.port, controller=controller, folder=self.folder)
        self.config.write_text(text + self.more)
        if not (self.folder / "data" / "meta.properties").exists():
            self.format(program)
        before = self.log.stat().st_size if self.log.exists() else 0
        process = spawn([*program, "kafka.Kafka", str(self.config)], self.log)
        wait_until(lambda: STARTED in self.log.read_bytes()[before:], process, self.log)
        self.process = process
        return process.pid

    def format(self, program: list[str]) -> None:
        """Make its data folder, as a cluster with an id of its own."""
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        run(
            [*program, "kafka.tools.StorageTool", "format", f"-t={cluster}", "-c", str(self.config)]
        )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process that was started, if it still runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def stop(self) -> None:
        """Shut it down as an operator would; it is killed when that takes too long."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            self.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it without a word (SIGKILL)."""
        self.signal(signal.SIGKILL)
        self.wait(20)

    def freeze(self) -> None:
        """Stop it in the middle of whatever it does; its connections stay open (SIGSTOP)."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        self.signal(signal.SIGCONT)

    def wait(self, seconds: float) -> None:
        """Until it has ended. Raises subprocess.TimeoutExpired."""
        if self.process is not None:
            self.process.wait(seconds)


def start(base: Path, port: int, password: str) -> Running:
    """Start Kafka on `port`; its topics stay from one `up` to the next. It asks no password."""
    broker = Broker(base / "kafka", port)
    pid = broker.start()
    return Running("local", port, password, pid, str(broker.config))


KAFKA = Service(
    name="kafka",
    variable="TESSERA_TEST_KAFKA_SERVERS",
    setting="TESSERA_KAFKA__BOOTSTRAP_SERVERS",
    url="127.0.0.1:{port}",
    first_port=59092,
    packages=("default-jre-headless", "maven"),
    programs=programs,
    start=start,
)
