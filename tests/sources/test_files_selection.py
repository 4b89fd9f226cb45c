from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backupkit.errors import ConfigurationError
from backupkit.sources.application_excludes import APPLICATION_EXCLUDES
from backupkit.sources.files import Directory
from backupkit.testing.trees import Folder, Node, Symlink, tree
from tests.sources.walking import entries, paths, problems


def test_a_pattern_is_an_exact_name(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {".env": "", ".env.example": "", "a.env": "", "sub": {".env": ""}})
    assert paths(Directory(root, exclude=[".env"])) == [".env.example", "a.env", "sub/"]


def test_a_name_that_only_begins_or_ends_like_the_pattern_stays(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {".env": "", ".env\n": "", ".env ": "", "x\n.env": "", "\n": {".env": ""}})
    assert paths(Directory(root, exclude=[".env"])) == ["\n/", ".env\n", ".env ", "x\n.env"]


def test_a_pattern_can_hold_a_newline(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"a\nb": "", "ab": "", "a": "", "b": ""})
    assert paths(Directory(root, exclude=["a\nb"])) == ["a", "ab", "b"]


SHOP: dict[str, Node] = {
    "a.log": "",
    "keep.txt": "",
    "logs": {"b.log": "", "keep": {"c.log": "", "d.txt": ""}, "e.txt": ""},
    "build": {"x": {"y": {"z.o": "", "z.c": ""}}, "keep.o": ""},
    "deep": {"logs": {"f.txt": ""}, "build": {"g.o": ""}},
    "[odd]": {"#h": "", "!i": "", "j ": ""},
}


def _files_left_by_git(folder: Path, root: Path, patterns: Sequence[str]) -> set[str]:
    git = shutil.which("git")
    if git is None:
        pytest.skip("git is not installed")
    (folder / "patterns").write_text("\n".join(patterns))
    options = [f"--git-dir={folder / 'repository'}", f"--work-tree={root}"]
    subprocess.run([git, *options, "init", "-q"], check=True, capture_output=True)
    listed = subprocess.run(
        [git, *options, "ls-files", "--others", "-z", f"--exclude-from={folder / 'patterns'}"],
        check=True,
        capture_output=True,
        text=True,
        cwd=root,
    )
    return {path for path in listed.stdout.split("\0") if path}


def _files_left_by_us(root: Path, patterns: Sequence[str]) -> set[str]:
    return {path for path in paths(Directory(root, exclude=patterns)) if not path.endswith("/")}


@pytest.mark.parametrize(
    "patterns",
    [
        ["*.log"],
        ["logs"],
        ["logs/"],
        ["/logs"],
        ["keep.txt/"],
        ["deep/logs"],
        ["**/logs/keep"],
        ["build/**"],
        ["build/**/"],
        ["build/**", "!build/keep.o"],
        ["build/*", "!build/x/"],
        ["logs/*", "!logs/keep"],
        ["logs/", "!logs/e.txt"],
        ["*", "!/logs"],
        ["*", "!logs/", "!logs/**"],
        ["logs/", "!deep/"],
        ["!deep/", "logs/"],
        ["*.log", "logs/*", "!logs/keep"],
        ["**"],
        ["**/"],
        ["/*/"],
        ["*/**"],
        ["/*", "!/deep", "/deep/*", "!/deep/logs"],
        ["*.log", "!c.log"],
        ["*", "!*.txt", "!*/"],
        ["!keep.txt", "*.txt"],
        ["x/**/z.o"],
        ["build/**/z.?"],
        ["z.[!o]"],
        ["\\[odd\\]/*", "!j\\ "],
        ["\\#h", "\\!i", "j\\ "],
        ["# a comment", "", "   ", "*.o   "],
    ],
)
def test_patterns_mean_what_they_mean_to_git(tmp_path: Path, patterns: list[str]) -> None:
    root = tree(tmp_path / "shop", SHOP)
    assert _files_left_by_us(root, patterns) == _files_left_by_git(tmp_path, root, patterns)


SEGMENTS = st.sampled_from(["a", "b", "*", "**", "*.log", "c.*", "?", "[ab]"])
PATTERNS = st.builds(
    lambda negated, anchored, segments, ending: negated + anchored + "/".join(segments) + ending,
    *(st.sampled_from(["", "", "!"]), st.sampled_from(["", "", "/"])),
    *(st.lists(SEGMENTS, min_size=1, max_size=3), st.sampled_from(["", "", "/"])),
)
THINGS: st.SearchStrategy[Mapping[str, Node]] = st.recursive(
    st.dictionaries(st.sampled_from(["a", "b", "c.log"]), st.just("")),
    lambda below: st.dictionaries(st.sampled_from(["a", "b", "c.log"]), st.one_of(st.just(""), below)),
    max_leaves=15,
)


@settings(max_examples=50)
@given(THINGS, st.lists(PATTERNS, min_size=1, max_size=4))
def test_any_patterns_mean_what_they_mean_to_git(things: Mapping[str, Node], patterns: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = tree(Path(folder) / "shop", things)
        assert _files_left_by_us(root, patterns) == _files_left_by_git(Path(folder), root, patterns)


def test_an_emptied_folder_stays_a_folder(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"cache": {"a": "", "b": {"c": ""}}})
    assert paths(Directory(root, exclude=["cache/*"])) == ["cache/"]
    assert paths(Directory(root, exclude=["cache/**"])) == ["cache/"]
    assert paths(Directory(root, exclude=["cache/"])) == []


def test_an_absolute_path_inside_the_source_is_that_path(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"a": {"b": {"x": ""}}, "b": {"x": ""}})
    assert paths(Directory(root, exclude=[str(root / "b")])) == ["a/", "a/b/", "a/b/x"]
    assert paths(Directory(root, exclude=[f"{root}/a/b/"])) == ["a/", "b/", "b/x"]
    assert paths(Directory(root, exclude=["*", f"!{root}/b"])) == ["b/"]
    assert paths(Directory(root, include=[f"{root}/b"])) == ["b/", "b/x"]


def test_an_absolute_path_outside_the_source_is_a_pattern_below_its_root(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"tmp": {}, "a": {"tmp": {}}, "shop-old": {}})
    assert paths(Directory(root, exclude=["/tmp"])) == ["a/", "a/tmp/", "shop-old/"]
    assert paths(Directory(root, exclude=[f"{root}-old"])) == ["a/", "a/tmp/", "shop-old/", "tmp/"]


@pytest.mark.parametrize("pattern", ["!", "\\", "a\\", "[z-a]", "/", "/srv/shop", "/srv/shop/", "!/srv/shop"])
def test_a_pattern_that_cannot_match_is_refused_at_once(pattern: str) -> None:
    with pytest.raises(ConfigurationError, match="pattern"):
        Directory("/srv/shop", exclude=["*.log", pattern])


def test_one_text_is_no_list_of_patterns() -> None:
    with pytest.raises(ConfigurationError, match=r"exclude='\*.log' is one text: give a list"):
        Directory("/srv/shop", exclude="*.log")


# --- pruning ---------------------------------------------------------------------------------------------


def test_an_excluded_folder_is_never_looked_into(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"a": "", "vendor": {"x": ""}})
    walk = Directory(root, exclude=["vendor/"]).entries()
    assert [found.path for found in (next(walk), next(walk))] == ["shop", "shop/a"]
    # Looking into it now could only fail.
    shutil.rmtree(root / "vendor")
    (root / "vendor").mkdir(mode=0)
    assert list(walk) == []


# --- include ---------------------------------------------------------------------------------------------


def test_only_what_is_included_is_taken_with_the_folders_that_lead_there(tmp_path: Path) -> None:
    root = tree(
        tmp_path / "shop",
        {
            "a": {"b": {"photo.jpg": "", "notes.txt": ""}, "c": {"notes.txt": ""}},
            "d": {"photo.jpg": ""},
            "e": {},
            "photo.jpg": "",
        },
    )
    source = Directory(root, include=["*.jpg"])
    assert paths(source) == ["a/", "a/b/", "a/b/photo.jpg", "d/", "d/photo.jpg", "photo.jpg"]
    assert entries(source)[0].path == "shop"


def test_an_included_folder_is_taken_whole(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"a": {"uploads": {"x": {"y": ""}, "e": {}}, "z": ""}, "b": ""})
    for pattern in ("uploads", "uploads/", "/a/uploads", "a/uploads/**"):
        assert paths(Directory(root, include=[pattern])) == [
            "a/",
            "a/uploads/",
            "a/uploads/e/",
            "a/uploads/x/",
            "a/uploads/x/y",
        ]


def test_exclude_takes_away_from_what_is_included(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"uploads": {"a.jpg": "", "tmp": {"b.jpg": ""}}})
    assert paths(Directory(root, include=["uploads"], exclude=["tmp/"])) == ["uploads/", "uploads/a.jpg"]


def test_excludes_apply_to_a_single_file_too(tmp_path: Path) -> None:
    tree(tmp_path, {".env": "SECRET=1", ".env.example": ""})
    source = Directory(tmp_path / ".env", exclude=[".env"])
    (problem,) = source.entries()
    assert problems(source) == [problem]
    assert problem.path == ".env"
    assert len(entries(Directory(tmp_path / ".env.example", exclude=[".env"]))) == 1
    assert len(entries(Directory(tmp_path / ".env", include=[".env*"]))) == 1
    assert len(problems(Directory(tmp_path / ".env", include=["*.txt"]))) == 1


# --- excluding -------------------------------------------------------------------------------------------


def test_excluding_leaves_out_folders_wherever_they_are_reached_through(tmp_path: Path) -> None:
    root = tree(
        tmp_path / "shop",
        {"backups": {"b.zip": ""}, "other": {"backups": {"kept": ""}}, "alias": Symlink("backups")},
    )
    tree(tmp_path, {"elsewhere": Symlink("shop/backups")})
    left = ["alias", "other/", "other/backups/", "other/backups/kept"]
    assert paths(Directory(root).excluding([root / "backups"])) == left
    assert paths(Directory(root).excluding([tmp_path / "elsewhere"])) == left
    assert paths(Directory(root).excluding([root / "other" / ".." / "backups"])) == left


def test_excluding_holds_when_links_are_followed(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"backups": {"b.zip": ""}, "alias": Symlink("backups"), "a": ""})
    assert paths(Directory(root, follow_symlinks=True).excluding([root / "backups"])) == ["a"]


def test_excluding_a_folder_that_is_made_during_the_walk(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"a": {}})
    walk = Directory(root).excluding([root / "a" / "backups"]).entries()
    assert [found.path for found in (next(walk), next(walk))] == ["shop", "shop/a"]
    tree(root / "a" / "backups", {"b.zip": ""})
    assert list(walk) == []


def test_excluding_what_does_not_exist_changes_nothing(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"a": ""})
    assert paths(Directory(root).excluding([tmp_path / "missing", tmp_path / "missing" / "too"])) == ["a"]


def test_the_source_itself_is_never_left_out(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"a": ""})
    assert paths(Directory(root).excluding([root])) == ["a"]


def test_excluding_returns_another_source_and_adds_up(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"a": {}, "b": {}, "c": {}, "d.log": ""})
    source = Directory(root, name="files", exclude=["*.log"])
    without_a = source.excluding([root / "a"])
    without_both = without_a.excluding([root / "b"])
    assert paths(source) == ["a/", "b/", "c/"]
    assert paths(without_a) == ["b/", "c/"]
    assert paths(without_both) == ["c/"]
    assert without_both.name == "files"


# --- what applications can do without --------------------------------------------------------------------


def _taken(root: Path, exclude: Sequence[str] = APPLICATION_EXCLUDES) -> list[str]:
    return [path for path in paths(Directory(root, exclude=exclude)) if not path.endswith("/")]


def test_what_a_laravel_application_can_do_without(tmp_path: Path) -> None:
    root = tree(
        tmp_path / "shop",
        {
            ".env": "",
            ".env.example": "",
            ".git": {"HEAD": ""},
            ".gitignore": "",
            "app": {"Logs": {"Log.php": ""}, "log": {"Reader.php": ""}},
            "bootstrap": {"app.php": "", "cache": {".gitignore": "", "config.php": ""}},
            "lang": {"vendor": {"package": {"de.json": ""}}},
            "node_modules": {"vue": {"index.js": ""}},
            "public": {"index.php": "", "storage": Symlink("../storage/app/public")},
            "resources": {"views": {"vendor": {"mail": {"button.blade.php": ""}}}},
            "storage": {
                "app": {"public": {"photo.jpg": ""}, "temp": {"half": ""}},
                "framework": {
                    "cache": {"data": {"ab": {"cd": ""}}},
                    "sessions": {"s": ""},
                    "views": {"v.php": ""},
                },
                "logs": {"laravel.log": "", "laravel-2026.log.gz": ""},
            },
            "vendor": {"autoload.php": ""},
        },
    )
    assert _taken(root) == [
        ".env.example",
        ".gitignore",
        "app/Logs/Log.php",
        "app/log/Reader.php",
        "bootstrap/app.php",
        "bootstrap/cache/.gitignore",
        "lang/vendor/package/de.json",
        "public/index.php",
        "public/storage",
        "resources/views/vendor/mail/button.blade.php",
        "storage/app/public/photo.jpg",
    ]
    folders = [path for path in paths(Directory(root, exclude=APPLICATION_EXCLUDES)) if path.endswith("/")]
    assert {"storage/framework/cache/", "storage/framework/sessions/", "storage/framework/views/"} <= {
        *folders
    }
    assert "storage/logs/" in folders


def test_what_a_python_application_can_do_without(tmp_path: Path) -> None:
    root = tree(
        tmp_path / "shop",
        {
            ".hg": {"store": ""},
            ".mypy_cache": {"x": ""},
            ".svn": {"entries": ""},
            ".venv": {"pyvenv.cfg": ""},
            "log": {"today": ""},
            "logs": {"today": ""},
            "media": {"vendors": {"logo.png": ""}, "catalog": {"a.logo": ""}},
            "shop": {"__pycache__": {"a.pyc": ""}, "a.py": "", "b.pyc": "", "environment.py": ""},
            "tmp": {"x": ""},
            "venv": {"pyvenv.cfg": ""},
        },
    )
    assert _taken(root) == [
        "media/catalog/a.logo",
        "media/vendors/logo.png",
        "shop/a.py",
        "shop/environment.py",
    ]


def test_a_folder_with_metadata_leads_to_what_is_included(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"a": Folder({"x.jpg": ""}, mode=0o711)})
    assert [(e.path, e.mode) for e in entries(Directory(root, include=["*.jpg"]))][1] == ("shop/a", 0o711)
