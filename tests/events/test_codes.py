"""Texts as codes: filled, numbered and picked as plain Python does."""

import numpy as np
import polars as pl
import pytest

from pipeline.events.codes import NO_CODE, codes_in, codes_of, filled, first_used
from pipeline.events.codes_kernel import first_rows
from pipeline.events.drafts import text_codes

TEXTS = [None if n % 5 == 0 else f"player:{n * n % 7}" for n in range(61)]


def column(texts):
    return pl.Series("actor", texts, dtype=text_codes())


@pytest.mark.parametrize("begin, end", [(0, 61), (3, 50), (1, 5), (5, 6), (10, 10)])
def test_null_has_a_code_of_its_own_wherever_a_column_is_cut(begin, end):
    whole = column(TEXTS)
    expected = whole[begin:end].to_physical().fill_null(NO_CODE).to_list()
    assert codes_of(whole[begin:end]).tolist() == expected
    assert codes_in(whole[begin:end].to_frame(), ["actor"])[0].tolist() == expected
    middle = (begin + end) // 2
    assert codes_of(pl.concat([whole[begin:middle], whole[middle:end]], rechunk=False)).tolist() == expected


def test_null_is_minus_one_among_numbers_with_a_sign():
    numbers = pl.Series([None, 7, None, -3, 0], dtype=pl.Int32)
    assert filled(numbers[1:]).tolist() == [7, -1, -3, 0]
    assert filled(pl.Series([None, None], dtype=pl.Int32)).tolist() == [-1, -1]
    assert np.shares_memory(filled(numbers[3:]), filled(numbers[3:]))  # without null nothing is copied


@pytest.mark.parametrize("texts", [TEXTS, TEXTS[1:5], [None] * 9, []])
def test_codes_are_numbered_by_first_use(texts):
    codes = codes_of(column(texts))
    numbers, known, valid = first_used(codes)
    order = list(dict.fromkeys(code for code in codes.tolist() if code != NO_CODE))
    assert known.tolist() == order
    assert numbers.tolist() == [0 if code == NO_CODE else order.index(code) for code in codes.tolist()]
    if None in texts:
        bits = np.unpackbits(valid, bitorder="little")[: len(texts)]
        assert bits.tolist() == [text is not None for text in texts]
    else:
        assert valid is None


def test_the_first_row_of_each_code_is_found_among_some_rows():
    codes = np.array([4, NO_CODE, 4, 2, NO_CODE, 2, 9], np.uint32)
    assert first_rows(codes, np.array([6, 5, 4, 3, 2, 1, 0])).tolist() == [6, 5, 4, 2]
    assert first_rows(codes, np.array([2, 3])).tolist() == [2, 3]
    assert first_rows(codes, np.array([], np.int64)).tolist() == []
