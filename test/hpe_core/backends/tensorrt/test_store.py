"""The cache's promises, with real files and real processes; plans are bytes to it."""

import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from hpe_core.backends.tensorrt import store as store_module
from hpe_core.backends.tensorrt.store import EngineStore, UnusableEngine
from hpe_core.errors import HpeError

ROOT = Path(__file__).parents[4]
PLAN = bytes(range(256)) * 40


@pytest.fixture
def store(tmp_path):
    return EngineStore(tmp_path / "engines")


class Builder:
    """Counts how often it is asked to build."""

    def __init__(self, plan=PLAN):
        self.plan, self.builds = plan, 0

    def __call__(self):
        self.builds += 1
        return self.plan, {"number": self.builds}


def plan_of(entry):
    return entry.plan


def silent(text):
    pass


def test_an_engine_is_built_once_and_then_found(store, key):
    build = Builder()
    for _ in range(3):
        assert EngineStore(store.folder).obtain(key, build, plan_of, silent) == PLAN
    assert build.builds == 1


def test_progress_says_what_is_built_and_nothing_when_it_is_there(store, key):
    said = []
    store.obtain(key, Builder(), plan_of, said.append)
    assert said == [f"building engine {key.stem}"]
    store.obtain(key, Builder(), plan_of, said.append)
    assert len(said) == 1


def test_another_version_of_the_library_is_another_engine(store, key, key_with):
    build = Builder()
    newer = key_with(library="tensorrt_rtx 1.8.0.1")
    store.obtain(key, build, plan_of, silent)
    store.obtain(newer, build, plan_of, silent)
    assert build.builds == 2 and len(store.entries()) == 2
    deleted = store.prune(lambda entry: entry.key.library == newer.library)
    assert deleted == [f"{key.stem}.json", f"{key.stem}.plan"]
    assert store.read(key) is None and store.read(newer).plan == PLAN


def change(sidecar, **values):
    """Other values in a sidecar."""
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | values))


DAMAGE = {
    "plan cut short": lambda plan, sidecar: plan.write_bytes(PLAN[:100]),
    "plan empty": lambda plan, sidecar: plan.write_bytes(b""),
    "one bit of the plan": lambda plan, sidecar: plan.write_bytes(bytes([PLAN[0] ^ 1]) + PLAN[1:]),
    "plan gone": lambda plan, sidecar: plan.unlink(),
    "sidecar gone": lambda plan, sidecar: sidecar.unlink(),
    "sidecar empty": lambda plan, sidecar: sidecar.write_text(""),
    "sidecar a list": lambda plan, sidecar: sidecar.write_text("[]"),
    "sidecar not text": lambda plan, sidecar: sidecar.write_bytes(b"\xff\xfe\x00"),
    "sidecar of another format": lambda plan, sidecar: sidecar.write_text(
        sidecar.read_text().replace('t": 1', 't": 9')
    ),
    "sidecar of another engine": lambda plan, sidecar: sidecar.write_text(sidecar.read_text().replace("8.6", "8.9")),
    "sidecar nested": lambda plan, sidecar: sidecar.write_text("[" * 100_000),
    "sidecar a number": lambda plan, sidecar: sidecar.write_text("3"),
    "facts a list": lambda plan, sidecar: change(sidecar, facts=[]),
    "types a list": lambda plan, sidecar: change(sidecar, facts={"types": [1]}),
    "types without numbers": lambda plan, sidecar: change(sidecar, facts={"types": {"float16": "3"}}),
    "parity a text": lambda plan, sidecar: change(sidecar, parity="good"),
    "parity of texts": lambda plan, sidecar: change(sidecar, parity={"rows": "4", "rotation_deg_median": "0"}),
    "parity without numbers": lambda plan, sidecar: change(sidecar, parity={"rows": 40}),
    "created a number": lambda plan, sidecar: change(sidecar, created=1),
    "checksum a number": lambda plan, sidecar: change(sidecar, plan_sha256=1),
    "sidecar without a key": lambda plan, sidecar: sidecar.write_text('{"format": 1}'),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_engine_is_built_anew_once_and_the_reason_is_told(store, key, damage):
    store.obtain(key, Builder(), plan_of, silent)
    damage(store.folder / f"{key.stem}.plan", store.folder / f"{key.stem}.json")
    with pytest.raises(UnusableEngine):
        store.read(key)
    assert [entry for entry, _ in store.entries()] == [None]
    said, build = [], Builder()
    for _ in range(2):
        assert store.obtain(key, build, plan_of, said.append) == PLAN
    assert build.builds == 1
    assert len(said) == 1 and "the stored one is invalid" in said[0]


def test_a_plan_that_the_library_refuses_is_built_anew_once(store, key):
    store.obtain(key, Builder(b"old"), plan_of, silent)
    build = Builder(b"new")

    def use(entry):
        if entry.plan == b"old":
            raise UnusableEngine("made by another compiler")
        return entry.plan

    said = []
    assert store.obtain(key, build, use, said.append) == b"new"
    assert build.builds == 1 and "made by another compiler" in said[0]


def test_a_plan_that_is_refused_right_after_its_build_fails_loudly_and_does_not_stay(store, key):
    build = Builder()

    def use(entry):
        raise UnusableEngine("magic number differs")

    with pytest.raises(HpeError, match="was built just now and still does not load: magic number differs"):
        store.obtain(key, build, use, silent)
    assert build.builds == 1 and store.entries() == []


def test_a_failing_build_leaves_nothing_and_frees_the_lock(store, key):
    def fail():
        raise HpeError("cannot read the network")

    for _ in range(2):
        with pytest.raises(HpeError, match="cannot read the network"):
            store.obtain(key, fail, plan_of, silent)
    assert store.entries() == []
    assert store.obtain(key, Builder(), plan_of, silent) == PLAN


OBTAIN_SLOWLY = """
import sys, time
from pathlib import Path
from hpe_core.backends.tensorrt.key import EngineKey
from hpe_core.backends.tensorrt.store import EngineStore

folder, key, seconds = Path(sys.argv[1]), eval(sys.argv[2]), float(sys.argv[3])

def build():
    with open(folder / "builds", "a") as file:
        file.write("x")
    time.sleep(seconds)
    return b"plan" * 1000, {}

(folder / f"ready{sys.argv[4]}").touch()
while not (folder / "go").exists():
    time.sleep(0.005)
said = []
plan = EngineStore(folder / "engines").obtain(key, build, lambda entry: entry.plan, said.append)
print(len(plan), said[0].split()[0] if said else "found")
"""


def start_process(folder, key, seconds, number):
    arguments = [sys.executable, "-c", OBTAIN_SLOWLY, str(folder), repr(key), str(seconds), str(number)]
    return subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def wait_for(*paths):
    deadline = time.monotonic() + 60
    while not all(path.exists() for path in paths):
        assert time.monotonic() < deadline, paths
        time.sleep(0.01)


def test_processes_that_race_build_once_and_all_get_the_engine(tmp_path, key):
    racers = [start_process(tmp_path, key, 1.0, i) for i in range(3)]
    wait_for(*[tmp_path / f"ready{i}" for i in range(3)])
    (tmp_path / "go").touch()
    said = sorted(racer.communicate(timeout=60)[0].split() for racer in racers)
    assert said == [["4000", "building"], ["4000", "waiting"], ["4000", "waiting"]]
    assert (tmp_path / "builds").read_text() == "x"


def test_a_process_that_is_killed_while_it_builds_blocks_nobody(tmp_path, key):
    (tmp_path / "go").touch()
    builder = start_process(tmp_path, key, 600, 0)
    wait_for(tmp_path / "builds")
    builder.kill()
    builder.communicate()
    assert EngineStore(tmp_path / "engines").obtain(key, Builder(), plan_of, silent) == PLAN


def _limited(size):
    """Makes every file end at `size` bytes, as a full disk would: writes beyond fail (EFBIG, signal ignored)."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_disk_that_is_full_is_told_with_folder_and_room_and_nothing_half_stays(store, key, key_with):
    store.obtain(key, Builder(), plan_of, silent)
    code = textwrap.dedent(f"""
        from hpe_core.backends.tensorrt.key import EngineKey
        from hpe_core.backends.tensorrt.store import EngineStore
        from hpe_core.errors import HpeError
        key = {key_with(precision="fp32")!r}
        try:
            EngineStore({str(store.folder)!r}).obtain(key, lambda: (bytes(100_000), {{}}), lambda e: e, print)
        except HpeError as error:
            print("refused:", error)
    """)
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: _limited(20_000),
    )
    assert "refused: cannot store an engine of 0.1 MB in" in result.stdout
    assert str(store.folder) in result.stdout and "MB are free there" in result.stdout
    assert sorted(path.suffix for path in store.folder.iterdir()) == [".json", ".lock", ".lock", ".plan"]
    assert store.read(key).plan == PLAN


def test_a_folder_that_cannot_be_made_is_told(tmp_path, key):
    (tmp_path / "file").write_text("")
    with pytest.raises(HpeError, match=r"cannot store an engine .*file.*HPE_ENGINE_CACHE"):
        EngineStore(tmp_path / "file" / "engines").obtain(key, Builder(), plan_of, silent)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_engines_in_a_folder_that_is_read_only_are_used(store, key):
    store.obtain(key, Builder(), plan_of, silent)
    for path in store.folder.iterdir():
        path.chmod(0o444)
    store.folder.chmod(0o555)
    try:
        assert store.obtain(key, Builder(), plan_of, silent) == PLAN
    finally:
        store.folder.chmod(0o755)


def test_reading_takes_no_lock(store, key):
    store.obtain(key, Builder(), plan_of, silent)
    with store.locked(key):
        assert EngineStore(store.folder).obtain(key, Builder(), plan_of, silent) == PLAN


def test_prune_deletes_what_is_damaged_or_left_over_and_keeps_the_rest(store, key, key_with):
    bad, half = key_with(precision="fp32"), key_with(precision="int8")
    for k in (key, bad):
        store.obtain(k, Builder(), plan_of, silent)
    (store.folder / f"{bad.stem}.plan").write_bytes(b"")
    (store.folder / f"{half.stem}.123.plan.tmp").write_bytes(b"half")
    assert store.prune() == [f"{bad.stem}.json", f"{bad.stem}.plan", f"{half.stem}.123.plan.tmp"]
    assert [entry.key for entry, _ in store.entries()] == [key]
    assert not list(store.folder.glob("*.tmp"))


def test_files_that_are_no_engines_survive_prune_and_are_not_listed(store, key):
    store.obtain(key, Builder(), plan_of, silent)
    names = ("package.json", "notes.plan", "package.lock", "poetry.lock", "draft.1.plan.tmp", f"{key.stem}.txt.tmp")
    names += (f"my_{key.model}-fp16-b1-sm86-abc.json", f"{key.stem}.old.json")
    for name in names:
        (store.folder / name).write_text("{}")
    (store.folder / "folder.json").mkdir()
    assert [entry.key for entry, _ in store.entries()] == [key]
    store.prune(lambda entry: False)
    assert sorted(path.name for path in store.folder.iterdir()) == sorted([*names, "folder.json"])


def test_prune_leaves_alone_what_is_being_built(store, key):
    store.folder.mkdir(parents=True)
    temporary = store.folder / f"{key.stem}.123.plan.tmp"
    with store.locked(key):
        temporary.write_bytes(b"half")
        assert EngineStore(store.folder).prune() == []
        assert temporary.exists()


def test_a_lock_file_deleted_meanwhile_does_not_let_two_in(store, key):
    with store.locked(key):
        (store.folder / f"{key.stem}.lock").unlink()
    with store.locked(key):
        assert (store.folder / f"{key.stem}.lock").exists()


def test_the_comparison_is_kept_beside_the_plan(store, key):
    entry = store.obtain(key, Builder(), lambda entry: entry, silent)
    assert entry.parity is None and entry.facts == {"number": 1}
    found = {"rows": 40, "rotation_deg_median": 0.01, "score_median": None}
    assert store.note_parity(entry, found).parity == found
    assert store.read(key).parity == found
    assert json.loads((store.folder / f"{key.stem}.json").read_text())["parity"] == found


def test_the_folder_follows_the_variables(monkeypatch, tmp_path):
    monkeypatch.setenv("HPE_ENGINE_CACHE", str(tmp_path / "a"))
    assert EngineStore().folder == tmp_path / "a"
    monkeypatch.delenv("HPE_ENGINE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    assert EngineStore().folder == tmp_path / "b" / "hpe" / "engines"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert EngineStore().folder == tmp_path / ".cache" / "hpe" / "engines"


def test_without_a_home_the_variable_is_named(monkeypatch):
    monkeypatch.delenv("HPE_ENGINE_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(store_module.Path, "home", staticmethod(lambda: (_ for _ in ()).throw(RuntimeError("no home"))))
    with pytest.raises(HpeError, match="set HPE_ENGINE_CACHE to a folder"):
        EngineStore()


def test_an_empty_store_has_nothing_and_prunes_nothing(store):
    assert store.entries() == [] and store.prune() == []


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775, 0o702])
def test_a_folder_that_others_may_write_to_is_refused_with_what_to_do(store, key, mode):
    store.obtain(key, Builder(), plan_of, silent)
    store.folder.chmod(mode)
    for use in (
        lambda: store.read(key),
        lambda: store.obtain(key, Builder(), plan_of, silent),
        lambda: store.write(key, PLAN, {}),
        store.entries,
        store.prune,
    ):
        with pytest.raises(
            HpeError, match=rf"others may write there \(mode {mode:o}\); `chmod go-w .*HPE_ENGINE_CACHE"
        ):
            use()
    store.folder.chmod(0o755)
    assert store.obtain(key, Builder(), plan_of, silent) == PLAN


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")
def test_a_folder_of_another_user_is_refused(store, key):
    store.obtain(key, Builder(), plan_of, silent)
    os.chown(store.folder, 12345, 12345)
    with pytest.raises(HpeError, match=r"belongs to user 12345, this program runs as 0; `chown 0 .* HPE_ENGINE_CACHE"):
        store.obtain(key, Builder(), plan_of, silent)


@pytest.mark.skipif(not Path("/proc/1").exists() or Path("/proc").stat().st_uid != 0, reason="needs a folder of root")
def test_a_folder_of_root_is_taken_when_nobody_else_may_write_there():
    EngineStore("/usr").entries()


@pytest.fixture(params=[0o000, 0o002, 0o022])
def umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


def test_what_is_made_is_its_owners_alone_whatever_the_umask(store, key, umask):
    store.obtain(key, Builder(), plan_of, silent)
    assert store.folder.stat().st_mode & 0o777 == 0o700
    assert {path.suffix: path.stat().st_mode & 0o777 for path in store.folder.iterdir()} == {
        ".json": 0o600,
        ".plan": 0o600,
        ".lock": 0o600,
    }


def test_no_link_is_followed_when_something_is_written(store, key, tmp_path):
    store.folder.mkdir(mode=0o700)
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for suffix in (".plan", ".json"):
        (store.folder / f"{key.stem}.{os.getpid()}{suffix}.tmp").symlink_to(victim)
        (store.folder / f"{key.stem}{suffix}").symlink_to(victim)
    store.write(key, PLAN, {})
    assert victim.read_text() == "mine" and store.read(key).plan == PLAN
    assert not any(path.is_symlink() for path in store.folder.iterdir())


def test_a_lock_that_is_a_link_is_told_and_not_followed(store, key, tmp_path):
    store.folder.mkdir(mode=0o700)
    (store.folder / f"{key.stem}.lock").symlink_to(tmp_path / "made")
    with pytest.raises(HpeError, match=r"\.lock is a link, where a lock file should be: remove it"):
        store.obtain(key, Builder(), plan_of, silent)
    assert not (tmp_path / "made").exists()
