"""Private views whose pages stay mapped: what one reader writes, nobody sees, not even its next message."""

from __future__ import annotations

import gc
import os
import random
import sys
import time

import numpy as np
import pytest

if sys.platform != "linux":
    pytest.skip("arenas are for Linux", allow_module_level=True)

from canning.memory.buffers import span
from transport.shared import private
from transport.shared.memory import PAGE, SLOW, Mapping, make_memfd
from transport.shared.private import Lender, Lent, has_own_pages

PAGES = 64


class File:
    """A file with one page of something else before its data, and who lends of it."""

    def __init__(self, pages: int = PAGES, warm: int = PAGES) -> None:
        self.fd = make_memfd((1 + pages) * PAGE)
        self.mapping = Mapping(self.fd, pages * PAGE, PAGE, writable=True)
        self.data = self._array(self.mapping, pages * PAGE)
        self.lender = Lender(PAGE, warm * PAGE)

    def _array(self, piece: Lent | Mapping, nbytes: int) -> np.ndarray:
        return np.frombuffer(span(piece.address, piece.address + nbytes, piece, readonly=False), np.uint8)

    def lend(self, low: int, pages: int) -> np.ndarray:
        return self._array(self.lender.lend(self.fd, low * PAGE, pages * PAGE), pages * PAGE)


@pytest.fixture
def file() -> File:
    return File()


def where(array: np.ndarray) -> int:
    return int(array.ctypes.data)


def test_a_piece_shows_the_file_again(file: File) -> None:
    file.data[:] = 1
    first = file.lend(3, 2)
    place = where(first)
    assert not has_own_pages(place, 2 * PAGE)
    first[PAGE] = 9
    assert has_own_pages(place, 2 * PAGE)
    assert file.data.max() == 1
    del first
    file.data[:] = 2
    again = file.lend(3, 2)
    assert where(again) == place
    assert set(again) == {2}
    assert not has_own_pages(place, 2 * PAGE)


def test_pages_stay_mapped_until_they_were_written_to(file: File) -> None:
    file.data[:] = 1
    piece = file.lend(0, 8)
    piece.sum()
    place = where(piece)
    del piece
    assert resident(place) == 8
    piece = file.lend(0, 8)
    piece[0] = 5
    del piece
    assert resident(place) == 0


def resident(place: int, pages: int = 8) -> int:
    with open("/proc/self/pagemap", "rb") as pagemap:
        pagemap.seek(place // PAGE * 8)
        return int(np.count_nonzero(np.frombuffer(pagemap.read(8 * pages), np.uint64)))


@pytest.mark.parametrize(("low", "pages"), [(4, 4), (2, 3), (6, 9), (0, PAGES), (5, 1)])
def test_pieces_that_overlap_do_not_share(file: File, low: int, pages: int) -> None:
    file.data[:] = 1
    first, second = file.lend(4, 4), file.lend(low, pages)
    first[:] = 2
    second[:] = 3
    assert (set(first), set(second), set(file.data)) == ({2}, {3}, {1})


@pytest.mark.parametrize(
    ("low", "pages", "common"), [(0, 4, True), (3, 1, True), (3, 2, False), (9, 4, False)]
)
def test_what_lies_behind_the_low_end_is_mapped_for_itself(low: int, pages: int, common: bool) -> None:
    file = File(warm=4)
    piece = file.lend(low, pages)
    assert isinstance(file.lender.lend(file.fd, low * PAGE, pages * PAGE), Mapping)  # the first is out
    place = where(piece)
    piece[:] = 1
    del piece
    again = file.lend(low, pages)
    assert set(again) == {0}
    assert (where(again) == place) or not common


def test_a_large_piece_is_cleared_by_a_thread() -> None:
    pages = 2 * SLOW // PAGE
    file = File(pages, pages)
    piece = file.lend(0, pages)
    place = where(piece)
    piece[::PAGE] = 1
    del piece
    until = time.monotonic() + 30
    while True:  # meanwhile others get pages of their own
        piece = file.lend(0, pages)
        assert not piece.any()
        if where(piece) == place:
            break
        assert time.monotonic() < until
        del piece
        time.sleep(0.01)


def test_many_pieces_at_random(file: File) -> None:
    """Compare with pieces that are mapped for themselves, as readers come and go and the owner writes."""
    chance = random.Random(5)
    live: list[tuple[np.ndarray, np.ndarray]] = []
    for step in range(2000):
        if live and chance.random() < 0.5:
            piece, expected = live.pop(chance.randrange(len(live)))
            np.testing.assert_array_equal(piece, expected)
            continue
        low = chance.randrange(PAGES)
        pages = chance.randint(1, PAGES - low)
        if not any(piece.size for piece, _ in live):
            file.data[:] = step % 251
        piece = file.lend(low, pages)
        expected = file.data[low * PAGE : (low + pages) * PAGE].copy()
        np.testing.assert_array_equal(piece, expected)
        if chance.random() < 0.5:
            at = chance.randrange(piece.size)
            piece[at:] = expected[at:] = chance.randrange(256)
        live.append((piece, expected))
        if len(live) > 6:
            live.clear()
    del piece, expected
    live.clear()
    gc.collect()
    file.data[:] = 7
    assert set(file.lend(0, PAGES)) == {7}


def test_where_the_system_does_not_tell(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private.os, "open", refuse)
    piece = file.lend(0, 4)
    piece[:] = 1
    del piece
    assert set(file.lend(0, 4)) == {0}


def test_where_no_more_may_be_mapped(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    def mapping(fd: int, nbytes: int, *rest: int, **options: bool) -> Mapping:
        if nbytes == PAGES * PAGE:
            refuse()
        return Mapping(fd, nbytes, *rest, **options)

    monkeypatch.setattr(private, "Mapping", mapping)
    piece = file.lend(0, 4)
    piece[:] = 1
    assert set(file.lend(0, 4)) == {0}


def refuse(*_: object, **__: object) -> int:
    raise OSError(12, "no")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_leaves_what_its_parent_lent(file: File) -> None:
    piece = file.lend(0, 4)
    place = where(piece)
    piece[:] = 1
    child = os.fork()
    if not child:
        piece[:] = 2
        del piece
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert set(piece) == {1}
    del piece
    assert where(file.lend(0, 4)) == place
