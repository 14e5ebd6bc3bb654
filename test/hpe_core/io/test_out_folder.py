"""What the shared output folder promises, with real files, links, file systems and processes."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpe_core.errors import HpeError
from hpe_core.io.folder_lock import LOCK
from hpe_core.io.manifest import MANIFEST
from hpe_core.io.out_folder import UNFINISHED, OutFolder, check_new_file, new_file

ROOT = Path(__file__).parents[3]
NAMES = ("table.csv", "pictures")


def write(folder, text="1", names=("table.csv", "pictures/a.png"), overwrite=False, sources=(), command="run"):
    """A command that writes `text` into some files."""
    with OutFolder(folder, command, NAMES, overwrite, sources) as out:
        fill(out.staged, text, names)
        return out.place()


def fill(folder, text, names):
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)


def contents(folder):
    """dict relative path -> text of the files that are not hidden."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): path.read_text() for path in found}


def test_results_come_into_place_and_nothing_else_stays(tmp_path):
    assert write(tmp_path / "a" / "out") == [tmp_path / "a" / "out" / "pictures", tmp_path / "a" / "out" / "table.csv"]
    assert sorted(os.listdir(tmp_path / "a" / "out")) == [MANIFEST, "pictures", "table.csv"]


def test_earlier_results_are_replaced_only_when_asked_and_other_files_never(tmp_path):
    write(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(HpeError, match=r"holds earlier results \(pictures, table.csv\): use --overwrite or --out"):
        write(tmp_path)
    write(tmp_path, "2", names=("table.csv",), overwrite=True)
    assert contents(tmp_path) == {"table.csv": "2", "notes.txt": "mine"}


@pytest.mark.parametrize("name", ["table.csv", "pictures/mine.png"])
def test_a_file_that_hpe_did_not_write_is_never_replaced(tmp_path, name):
    fill(tmp_path, "years of work", [name])
    for overwrite in (False, True):
        with pytest.raises(HpeError, match=f"holds {name}, not written by hpe or changed since"):
            write(tmp_path, overwrite=overwrite)
    assert contents(tmp_path) == {name: "years of work"} and not (tmp_path / LOCK).exists()


@pytest.mark.parametrize("name", ["table.csv", "pictures/a.png"])
def test_a_result_that_was_changed_is_the_users(tmp_path, name):
    write(tmp_path)
    (tmp_path / name).write_text("2")  # as many bytes
    with pytest.raises(HpeError, match=f"holds {name}, not written by hpe or changed since"):
        write(tmp_path, overwrite=True)
    assert contents(tmp_path)[name] == "2"


def test_a_file_of_the_user_beside_earlier_pictures_is_not_lost_with_them(tmp_path):
    write(tmp_path)
    (tmp_path / "pictures" / "mine.png").write_text("mine")
    with pytest.raises(HpeError, match=r"holds pictures/mine\.png"):
        write(tmp_path, overwrite=True)
    assert contents(tmp_path)["pictures/mine.png"] == "mine"


def test_a_file_that_appears_while_the_command_works_is_not_replaced(tmp_path):
    with pytest.raises(HpeError, match=r"holds table\.csv"), OutFolder(tmp_path, "run", NAMES, True) as out:
        fill(out.staged, "1", ["table.csv"])
        (tmp_path / "table.csv").write_text("mine")
        out.place()
    assert contents(tmp_path) == {"table.csv": "mine"}


def test_results_of_several_commands_live_side_by_side_and_their_common_names_are_replaced(tmp_path):
    write(tmp_path, "1", ("table.csv", "pictures/a.png"), command="run")
    write(tmp_path, "2", ("table.csv", "extra.txt"), overwrite=True, command="eval bag")
    assert contents(tmp_path) == {"table.csv": "2", "extra.txt": "2"}
    commands = json.loads((tmp_path / MANIFEST).read_text())["commands"]
    assert {name: sorted(section["files"]) for name, section in commands.items()} == {
        "eval bag": ["extra.txt", "table.csv"]
    }


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": 1, "commands": 3}', '{"format": 9, "commands": {}}', "\0"])
def test_a_damaged_manifest_makes_nothing_ours(tmp_path, text):
    write(tmp_path)
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(HpeError, match="not written by hpe or changed since"):
        write(tmp_path, overwrite=True)
    assert contents(tmp_path) == {"table.csv": "1", "pictures/a.png": "1"}


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.sampled_from(["run", "files", "table.csv"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["files", "run", "table.csv", "../x", "bytes", ""]), inner, max_size=4)
    ),
)


@given(commands=JSON)
def test_whatever_a_manifest_says_a_file_with_other_bytes_is_not_replaced(tmp_path_factory, commands):
    folder = tmp_path_factory.mktemp("out")
    (folder / "table.csv").write_text("mine")
    (folder / MANIFEST).write_text(json.dumps({"format": 1, "commands": commands}))
    with pytest.raises(HpeError, match=r"holds table\.csv, not written by hpe or changed since"):
        write(folder, overwrite=True)
    assert contents(folder) == {"table.csv": "mine"}


def test_a_manifest_that_points_out_of_its_folder_deletes_nothing_there(tmp_path):
    write(tmp_path / "out")
    (tmp_path / "mine").write_text("1")
    path = tmp_path / "out" / MANIFEST
    values = json.loads(path.read_text())
    files = values["commands"]["run"]["files"]
    files |= {"../mine": files["table.csv"], f"{tmp_path}/mine": files["table.csv"], "..": files["table.csv"]}
    path.write_text(json.dumps(values))
    write(tmp_path / "out", "2", overwrite=True)
    assert (tmp_path / "mine").read_text() == "1"


def test_a_failure_leaves_the_earlier_results_as_they_were(tmp_path):
    write(tmp_path)
    for keep in (False, True):
        with pytest.raises(OSError, match="no room"), OutFolder(tmp_path, "run", NAMES, True) as out:
            out.keep = keep
            fill(out.staged, "half", ["table.csv"])
            raise OSError("no room")
        assert (tmp_path / UNFINISHED).exists() == keep
        assert (tmp_path / "table.csv").read_text() == (tmp_path / "pictures" / "a.png").read_text() == "1"
    with OutFolder(tmp_path, "run", NAMES, True) as out:
        assert out.note() == f"{tmp_path / UNFINISHED}: results of a run that did not finish; yours to delete"
        fill(out.staged, "2", ["table.csv"])
        out.place()
    assert contents(tmp_path) == {"table.csv": "2", f"{UNFINISHED}/table.csv": "half"}


def test_a_failed_start_leaves_no_folder(tmp_path):
    with pytest.raises(HpeError, match="no image"), OutFolder(tmp_path / "a" / "b", "run", NAMES, False):
        raise HpeError("no image")
    assert list(tmp_path.iterdir()) == []


def test_where_the_input_decides_on_the_names_everything_must_be_the_commands(tmp_path):
    for text, overwrite in (("1", False), ("2", True)):
        with OutFolder(tmp_path, "convert", None, overwrite) as out:
            fill(out.staged, text, [f"bag{text}/x.mcap"])
            out.place()
    assert contents(tmp_path) == {"bag2/x.mcap": "2"}
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(HpeError, match=r"holds thesis\.tex, not written by hpe"):
        OutFolder(tmp_path, "convert", None, True).__enter__()


# sources


def linked(tmp_path, kind):
    """Another path to the result table.csv."""
    path = tmp_path / "link"
    if kind == "itself":
        return tmp_path / "out" / "table.csv"
    if kind == "symbolic link":
        path.symlink_to(tmp_path / "out" / "table.csv")
    elif kind == "hard link":
        path.hardlink_to(tmp_path / "out" / "table.csv")
    elif kind == "linked folder":
        path.symlink_to(tmp_path / "out")
        return path / "table.csv"
    return path


@pytest.mark.parametrize("kind", ["itself", "symbolic link", "hard link", "linked folder"])
def test_a_result_that_the_command_reads_is_not_replaced_however_it_is_reached(tmp_path, kind):
    write(tmp_path / "out")
    source = linked(tmp_path, kind)
    with pytest.raises(HpeError, match=f"{source} is read and would be replaced"):
        write(tmp_path / "out", "2", overwrite=True, sources=[source])
    assert contents(tmp_path / "out")["table.csv"] == "1"


def test_a_source_in_the_output_folder_that_is_no_result_stays(tmp_path):
    (tmp_path / "clip.mp4").write_text("mine")
    for overwrite in (False, True):
        write(tmp_path, overwrite=overwrite, sources=[tmp_path / "clip.mp4"])
    assert contents(tmp_path)["clip.mp4"] == "mine"


# links and names


def test_a_folder_that_is_a_link_is_written_through(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    write(tmp_path / "out")
    write(tmp_path / "out", "2", overwrite=True)
    assert (tmp_path / "out").is_symlink() and contents(tmp_path / "disk")["table.csv"] == "2"


@pytest.mark.parametrize("target", ["mine.csv", "nothing"])
def test_a_result_name_that_is_a_link_is_neither_followed_nor_removed(tmp_path, target):
    (tmp_path / "mine.csv").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "table.csv").symlink_to(tmp_path / target)
    with pytest.raises(HpeError, match=r"holds table\.csv, not written by hpe"):
        write(tmp_path / "out", overwrite=True)
    assert (tmp_path / "mine.csv").read_text() == "mine" and not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_result_that_was_turned_into_a_link_to_the_same_bytes_is_the_users(tmp_path, name):
    write(tmp_path / "out")
    (tmp_path / "out" / name).rename(tmp_path / "kept")
    (tmp_path / "out" / name).symlink_to(tmp_path / "kept")
    with pytest.raises(HpeError, match="not written by hpe or changed since"):
        write(tmp_path / "out", overwrite=True)


def test_names_with_line_breaks_and_without_a_text_are_replaced_and_shown_in_one_line(tmp_path):
    names = ["pictures/a\nb.png", os.fsdecode(b"pictures/\xff.png")]
    write(tmp_path, "1", names)
    write(tmp_path, "2", names[:1], overwrite=True)
    assert contents(tmp_path) == {names[0]: "2"}
    (tmp_path / names[1]).write_text("mine")
    (tmp_path / "pictures" / "c\nd").write_text("mine")
    with pytest.raises(HpeError) as error:
        write(tmp_path, overwrite=True)
    assert r"'pictures/c\nd'" in str(error.value) and str(error.value).isprintable()


def test_folders_that_cannot_be_used_are_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(HpeError, match="is a file"):
        write(tmp_path / "file")
    with pytest.raises(HpeError, match="cannot be written: Not a directory"):
        write(tmp_path / "file" / "below")
    with pytest.raises(HpeError, match="cannot be written"):
        write(tmp_path / ("n" * 300))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused_and_stays_as_it_is(tmp_path):
    write(tmp_path)
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(HpeError, match="cannot be written: Permission denied"):
            write(tmp_path, "2", overwrite=True)
        assert contents(tmp_path) == {"table.csv": "1", "pictures/a.png": "1"}
    finally:
        tmp_path.chmod(0o700)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB, where the tests may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_on_a_full_disk_the_earlier_results_stay(small_disk):
    write(small_disk)
    with pytest.raises(OSError, match="No space left"), OutFolder(small_disk, "run", NAMES, True) as out:
        (out.staged / "table.csv").write_bytes(bytes(4_000_000))
    assert contents(small_disk) == {"table.csv": "1", "pictures/a.png": "1"}
    with pytest.raises(OSError, match="No space left"), OutFolder(small_disk, "run", NAMES, True) as out:
        fill(out.staged, "2", ["table.csv"])
        with contextlib.suppress(OSError), open(small_disk / "other", "wb") as file:
            file.write(bytes(4_000_000))  # the last room goes when the results are about to come into place
        out.place()
    with pytest.raises((HpeError, OSError), match="No space left"):
        write(small_disk, "2", overwrite=True)
    (small_disk / "other").unlink()
    assert contents(small_disk) == {"table.csv": "1", "pictures/a.png": "1"} and not (small_disk / LOCK).exists()


def test_on_a_disk_that_cannot_be_written_nothing_changes(small_disk):
    write(small_disk)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(HpeError, match="cannot be written: Read-only file system"):
        write(small_disk, "2", overwrite=True)
    assert contents(small_disk) == {"table.csv": "1", "pictures/a.png": "1"}


# locks

HOLD = """
import sys
from hpe_core.io.out_folder import OutFolder
with OutFolder(sys.argv[1], "run", ("table.csv",), False) as out:
    (out.staged / "table.csv").write_text("half")
    print("in", flush=True)
    sys.stdin.read()
    out.place()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that writes into tmp_path/out until its input ends."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "out")]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "in\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_run_into_the_folder_is_refused_with_process_and_host(tmp_path, holder):
    who = f"is in use by process {holder.pid} on host {socket.gethostname()}"
    for overwrite in (False, True):
        with pytest.raises(HpeError, match=who):
            write(tmp_path / "out", overwrite=overwrite)
    holder.communicate("")
    assert contents(tmp_path / "out") == {"table.csv": "half"} and not (tmp_path / "out" / LOCK).exists()


def test_the_lock_of_a_killed_run_is_taken_over_and_what_it_left_is_named(tmp_path, holder):
    holder.kill()
    holder.wait()
    assert (tmp_path / "out" / LOCK).exists()
    with OutFolder(tmp_path / "out", "run", NAMES, False) as out:
        assert UNFINISHED in out.note()
        fill(out.staged, "1", ["table.csv"])
        out.place()
    assert contents(tmp_path / "out") == {"table.csv": "1", f"{UNFINISHED}/table.csv": "half"}


@pytest.mark.parametrize("text", ["", "[1]", "no json"])
def test_a_lock_file_that_says_nothing_is_taken_over(tmp_path, text):
    (tmp_path / LOCK).write_text(text)
    write(tmp_path)
    assert not (tmp_path / LOCK).exists()


def test_the_lock_of_another_machine_is_respected_even_when_its_flock_is_not_seen(tmp_path):
    (tmp_path / LOCK).write_text(json.dumps({"pid": 12, "host": "robot7", "boot": "another"}))
    with pytest.raises(HpeError, match=rf"process 12 on host robot7: .* delete {tmp_path / LOCK} if that has ended"):
        write(tmp_path)
    assert (tmp_path / LOCK).exists()


def test_the_lock_of_a_container_that_ended_on_this_machine_is_taken_over(tmp_path):
    boot = Path("/proc/sys/kernel/random/boot_id")
    if not boot.exists():
        pytest.skip("needs Linux's boot_id")
    (tmp_path / LOCK).write_text(json.dumps({"pid": 12, "host": "4f1c09", "boot": boot.read_text().strip()}))
    write(tmp_path)


def test_a_lock_file_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / LOCK).symlink_to(tmp_path / "mine")
    with pytest.raises(HpeError, match="cannot be written"):
        write(tmp_path)
    assert (tmp_path / "mine").read_text() == "mine"


# single files


def test_a_single_file_is_replaced_only_when_asked_and_only_by_a_whole_one(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("mine")
    with pytest.raises(HpeError, match=r"report\.json is there already: use --overwrite"):
        check_new_file(path, False)
    with pytest.raises(HpeError, match="is there already"), new_file(path, False) as new:
        new.write_text("new")
    with pytest.raises(OSError, match="no room"), new_file(path, True) as new:
        new.write_text("half")
        raise OSError("no room")
    assert path.read_text() == "mine"
    with new_file(path, True) as new:
        new.write_text("new")
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_a_single_file_that_is_read_is_not_replaced_and_a_pipe_is_written_as_it_is(tmp_path):
    (tmp_path / "faces.npz").write_text("mine")
    (tmp_path / "link").symlink_to("faces.npz")
    with pytest.raises(HpeError, match="is read and would be replaced"):
        check_new_file(tmp_path / "link", True, [tmp_path / "faces.npz"])
    with pytest.raises(HpeError, match="is a folder"):
        check_new_file(tmp_path, True)
    with new_file("/dev/null", False) as path:
        assert path == Path("/dev/null")


def made(folder, made_from, text="1", overwrite=False):
    """Whether a command that knows what its results are made of has found them finished; it writes them if not."""
    with OutFolder(folder, "run many", NAMES, overwrite, made_from=made_from) as out:
        if out.finished:
            return True
        fill(out.staged, text, ("table.csv", "pictures/a.png"))
        out.place()
        out.discard_unfinished()
    return False


def test_a_folder_whose_run_was_killed_before_it_was_marked_is_cleared_and_one_with_a_file_stays(tmp_path):
    for name in ("hpe_unfinished", "hpe_unfinished_2", "hpe_unfinished_3"):
        (tmp_path / name).mkdir()
    (tmp_path / "hpe_unfinished_2" / ".hpe_manifest.26448.json.tmp").write_text("{")
    (tmp_path / "hpe_unfinished_3" / "mine.txt").write_text("mine")
    assert not made(tmp_path, "abc")
    assert [path.name for path in sorted(tmp_path.glob("hpe_unfinished*"))] == ["hpe_unfinished_3"]


def test_results_of_the_same_hash_are_finished_until_one_is_missing(tmp_path):
    assert [made(tmp_path, "abc"), made(tmp_path, "abc")] == [False, True]
    (tmp_path / "table.csv").unlink()
    assert [made(tmp_path, "abc", "2"), made(tmp_path, "abc")] == [False, True]
    assert contents(tmp_path) == {"table.csv": "2", "pictures/a.png": "2"}
    with pytest.raises(HpeError, match="holds earlier results"):
        made(tmp_path, "other")
    (tmp_path / "table.csv").write_text("mine now")
    for overwrite in (False, True):
        with pytest.raises(HpeError, match=r"table\.csv, not written by hpe or changed since"):
            made(tmp_path, "abc", overwrite=overwrite)


KILLED = """
import os, signal, sys
from hpe_core.io import out_folder
replace = os.replace
def dies(source, target):
    if os.path.basename(source) == out_folder.NEXT_MANIFEST:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
with out_folder.OutFolder(sys.argv[1], "run many", ("table.csv",), False, made_from="abc") as out:
    (out.staged / "table.csv").write_text("1")
    os.replace = dies
    out.place()
"""


def test_a_process_that_dies_between_moving_its_files_and_noting_them_is_made_again(tmp_path):
    dead = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert dead.returncode == -9 and contents(tmp_path)["table.csv"] == "1"
    assert not (tmp_path / MANIFEST).exists()
    assert [made(tmp_path, "abc", "2"), made(tmp_path, "abc")] == [False, True]
    assert contents(tmp_path) == {"table.csv": "2", "pictures/a.png": "2"}
    assert not list(tmp_path.glob(f"{UNFINISHED}*"))


def test_a_run_on_several_machines_takes_over_the_locks_of_its_own_lost_workers_alone(tmp_path):
    owner = {"command": "run many", "pid": 1, "host": "elsewhere", "boot": "another", "run_id": "mine"}
    (tmp_path / LOCK).write_text(json.dumps(owner))
    for run_id in ("", "other"):
        with pytest.raises(HpeError, match="in use by process 1 on host elsewhere"):
            OutFolder(tmp_path, "run many", NAMES, False, run_id=run_id).__enter__()
    with OutFolder(tmp_path, "run many", NAMES, False, run_id="mine"):
        assert json.loads((tmp_path / LOCK).read_text())["host"] == socket.gethostname()
    assert not (tmp_path / LOCK).exists()
