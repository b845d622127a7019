"""Files are kept whole, once, and never outside the root: on a disk and in a bucket."""

from __future__ import annotations

import errno
import hashlib
import os
import threading

import fsspec
import pytest
from upath import UPath

from aiprod.errors import ConfigError, StorageError
from aiprod.storage import Storage


@pytest.fixture(params=["disk", "file uri", "bucket"])
def root(request, tmp_path):
    if request.param == "bucket":
        memory = fsspec.filesystem("memory")
        memory.store.clear()
        yield "memory://bucket/takes"
        memory.store.clear()
    else:
        folder = tmp_path / "root with space"
        yield str(folder) if request.param == "disk" else f"file://{folder}"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "take.mp4"
    path.write_bytes(b"frames" * 400_000)
    return path


def everything(root):
    """Every name below the root, leftovers included."""
    path = UPath(root)
    return sorted(name.removeprefix(path.path).lstrip("/") for name in path.fs.find(path.path))


class TestKeep:
    def test_a_kept_file_is_described_and_can_be_read_back(self, root, source):
        storage = Storage.at(root)

        kept = storage.keep(source, "job-1/v1/take.mp4")

        assert kept.path == "job-1/v1/take.mp4"
        assert kept.size == source.stat().st_size
        assert kept.sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
        with storage.local(kept.path) as path:
            assert path.read_bytes() == source.read_bytes()
        assert everything(root) == ["job-1/v1/take.mp4"]

    def test_keeping_the_same_bytes_again_changes_nothing(self, root, source):
        storage = Storage.at(root)
        assert storage.keep(source, "a/take.mp4") == storage.keep(source, "a/take.mp4")

    def test_other_bytes_under_a_taken_name_are_refused_and_nothing_is_lost(self, root, source, tmp_path):
        storage = Storage.at(root)
        kept = storage.keep(source, "take.mp4")
        other = tmp_path / "other.mp4"
        other.write_bytes(b"other")

        with pytest.raises(StorageError, match="already holds another file"):
            storage.keep(other, "take.mp4")
        assert storage.keep(source, "take.mp4") == kept
        assert everything(root) == ["take.mp4"]

    def test_a_source_that_is_not_there_is_named(self, root, tmp_path):
        with pytest.raises(StorageError, match=r"nothing\.mp4.*not there"):
            Storage.at(root).keep(tmp_path / "nothing.mp4", "take.mp4")

    @pytest.mark.parametrize(
        "name",
        ["", "/etc/passwd", "../out", "a/../../out", "a//b", "./a", "a/.", "a\0b", "a\\b", "a/*", "gs://b/a", "C:/a", "a/"],
    )
    def test_a_name_that_leaves_the_root_is_refused(self, root, source, name):
        storage = Storage.at(root)
        for refused in (
            lambda: storage.keep(source, name),
            lambda: storage.keep_text("", name),
            lambda: storage.local(name).__enter__(),
        ):
            with pytest.raises(StorageError, match="not a plain path"):
                refused()


class TestKeepText:
    def test_a_manifest_can_be_replaced(self, root):
        storage = Storage.at(root)
        storage.keep_text("old and longer", "job/manifest.json")

        kept = storage.keep_text("neu: ü", "job/manifest.json")

        assert kept.size == len("neu: ü".encode())
        with storage.local("job/manifest.json") as path:
            assert path.read_text(encoding="utf-8") == "neu: ü"
        assert everything(root) == ["job/manifest.json"]

    def test_without_replace_the_first_text_stays(self, root):
        storage = Storage.at(root)
        storage.keep_text("first", "note.txt")

        with pytest.raises(StorageError, match="already there"):
            storage.keep_text("second", "note.txt", replace=False)
        with storage.local("note.txt") as path:
            assert path.read_text() == "first"


class TestDelete:
    def test_what_is_below_a_folder_is_listed_with_its_bytes_and_nothing_beside_it(self, root):
        storage = Storage.at(root)
        for name in ("job-1/v1/a.txt", "job-1/.b.part", "job-10/c.txt", "job-1.txt"):
            storage.keep_text("1234", name)
        assert storage.below("job-1") == [("job-1/.b.part", 4), ("job-1/v1/a.txt", 4)]
        assert storage.below("job-2") == []

    def test_a_deleted_file_is_gone_and_so_are_the_folders_it_leaves_empty(self, root):
        storage = Storage.at(root)
        storage.keep_text("1", "job-1/v1/a.txt")
        storage.keep_text("2", "job-2/b.txt")
        storage.delete("job-1/v1/a.txt")
        storage.delete("job-1/v1/a.txt")
        assert everything(root) == ["job-2/b.txt"]
        if not root.startswith("memory"):
            assert [path.name for path in UPath(root).iterdir()] == ["job-2"]

    @pytest.mark.parametrize("name", ["", "/etc/passwd", "../out", "a/../../out", "a/*", "."])
    def test_a_name_that_leaves_the_root_is_not_deleted(self, root, name):
        for refused in (Storage.at(root).delete, Storage.at(root).below):
            with pytest.raises(StorageError, match="not a plain path"):
                refused(name)

    def test_a_link_leads_no_deletion_out(self, tmp_path):
        outside, root = tmp_path / "outside", tmp_path / "root"
        outside.mkdir()
        (outside / "secret").write_text("kept")
        (root / "job-1").mkdir(parents=True)
        (root / "job-1" / "door").symlink_to(outside)
        (root / "job-1" / "file").symlink_to(outside / "secret")
        storage = Storage.at(str(root))
        names = [path for path, _ in storage.below("job-1")]
        assert names == ["job-1/door", "job-1/file"]
        for name in (*names, "job-1/door/secret"):
            with pytest.raises(StorageError, match="symbolic link"):
                storage.delete(name)
        assert (outside / "secret").read_text() == "kept"


class TestAddresses:
    def test_a_person_can_open_the_address(self, source, tmp_path):
        assert Storage.at(f"file://{tmp_path}/root").keep(source, "a/b.mp4").url == f"{tmp_path}/root/a/b.mp4"
        assert Storage.at("memory://bucket/root").keep(source, "a/b.mp4").url == "memory://bucket/root/a/b.mp4"

    def test_reading_what_is_not_there_says_where_it_looked(self, root):
        with pytest.raises(StorageError, match="not there"), Storage.at(root).local("gone.mp4"):
            pass

    def test_the_copy_of_a_remote_file_is_gone_afterwards(self, source):
        storage = Storage.at("memory://bucket/root")
        storage.keep(source, "gone.mp4")
        with storage.local("gone.mp4") as path:
            assert path.suffix == ".mp4"
        assert not path.exists()

    def test_an_address_that_nothing_can_open_is_a_configuration_error(self):
        with pytest.raises(ConfigError, match="nosuch"):
            Storage.at("nosuch://bucket/x")


class TestDisk:
    def test_a_symbolic_link_does_not_lead_out(self, source, tmp_path):
        outside, root = tmp_path / "outside", tmp_path / "root"
        outside.mkdir()
        root.mkdir()
        (root / "door").symlink_to(outside)
        (root / "file").symlink_to(outside / "secret")

        for name in ("door/take.mp4", "file"):
            with pytest.raises(StorageError, match="symbolic link"):
                Storage.at(str(root)).keep(source, name)
        assert list(outside.iterdir()) == []

    @pytest.mark.parametrize(("code", "next_step"), [(errno.ENOSPC, "free some space"), (errno.EACCES, "let this user write")])
    def test_a_refusal_of_the_disk_says_what_to_do_and_leaves_nothing(self, source, tmp_path, monkeypatch, code, next_step):
        def refuse(_):
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "fsync", refuse)
        with pytest.raises(StorageError, match=next_step):
            Storage.at(str(tmp_path / "root")).keep(source, "take.mp4")
        assert everything(str(tmp_path / "root")) == []

    def test_a_file_system_without_links_keeps_files_too(self, source, tmp_path, monkeypatch):
        def refuse(*_):
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", refuse)
        storage = Storage.at(str(tmp_path / "root"))
        assert storage.keep(source, "take.mp4") == storage.keep(source, "take.mp4")

    def test_two_that_keep_one_name_at_once_agree_on_one_file(self, tmp_path):
        storage, outcomes, start = Storage.at(str(tmp_path / "root")), [], threading.Barrier(4)
        sources = [tmp_path / f"{n}.mp4" for n in range(4)]
        for number, path in enumerate(sources):
            path.write_bytes(bytes([number]) * 3_000_000)

        def keep(path):
            start.wait()
            try:
                outcomes.append(storage.keep(path, "take.mp4").sha256)
            except StorageError:
                outcomes.append(None)

        threads = [threading.Thread(target=keep, args=(path,)) for path in sources]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        winners = [sha for sha in outcomes if sha]
        with storage.local("take.mp4") as path:
            assert winners == [hashlib.sha256(path.read_bytes()).hexdigest()]


class TestBucket:
    def test_an_upload_that_breaks_leaves_no_file(self, tmp_path):
        storage = Storage.at("memory://bucket/broken")

        class Broken:
            def open(self, mode):
                return self

            def __enter__(self):
                return self

            def __exit__(self, *_):
                return None

            def read(self, size):
                raise OSError(errno.EIO, "bad sector")

        with pytest.raises(StorageError, match="bad sector"):
            storage.keep(Broken(), "take.mp4")
        assert everything("memory://bucket/broken") == []


class TestAirflow:
    def test_airflow_may_pass_its_own_path(self, source, tmp_path):
        root = pytest.importorskip("airflow.sdk").ObjectStoragePath(f"file://{tmp_path}/root")
        assert Storage(root).keep(source, "a/take.mp4").url == f"{tmp_path}/root/a/take.mp4"
