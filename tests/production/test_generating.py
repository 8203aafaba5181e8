import itertools
import json
import math
import os
import re
from dataclasses import replace
from pathlib import Path

import grimp
import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from parallel_ai.accelerators import architectures
from parallel_ai.accelerators.devices import Peaks
from parallel_ai.production import generating as g
from parallel_ai.production.generating import practice, texts, traps
from parallel_ai.toolbox import benches, records
from parallel_ai.toolbox.exercises import EXERCISES
from parallel_ai.training.collectives import Link

TINY = g.Config(width=16, depth=2, heads=4, context=40, vocabulary=13)
COMPILED = "TORCHINDUCTOR_CACHE_DIR"  # set by what watches operations
EXACT = 1e-11  # in double precision
SINGLE = 1e-4  # logits of some units, in float32
PAGE = Path(__file__).parents[2] / "book" / "production" / "generating.md"


@pytest.fixture(autouse=True)
def one_thread():
    """Matrices are small: a second thread would be waited for."""
    before, folder = torch.get_num_threads(), os.environ.get(COMPILED)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    if folder is None:
        os.environ.pop(COMPILED, None)


def tiny(shared=1, dtype=torch.float64, seed=0):
    return g.random_model(replace(TINY, shared=shared), dtype=dtype, seed=seed)


MODELS = {shared: tiny(shared) for shared in (1, 2, 4)}


def tokens(rows, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(1, 13, (rows, count), generator=generator)


# The text


def test_a_page_is_never_stale_for_its_text_alone():
    """What the model reads is source that the page imports anyhow."""
    graph = grimp.build_graph("parallel_ai", cache_dir=None)
    page = PAGE.read_text("utf8")
    lines = re.findall(
        r"^from (parallel_ai\S*) import (.+)$", page, re.MULTILINE
    )
    imported = {
        f"{package}.{name.partition(' as ')[0].strip()}"
        for package, names in lines
        for name in names.split(",")
    }
    imported |= set(yaml.safe_load(page.split("---")[1])["depends"])
    imported &= graph.modules
    reached = imported.union(*map(graph.find_upstream_modules, imported))
    read = {
        ".".join(f.relative_to(texts.PACKAGE.parent).with_suffix("").parts)
        for f in texts.files()
    }
    assert read <= reached
    assert len(read) > 40


def test_documents_are_definitions_and_do_not_overlap():
    texts = g.documents()
    assert sum(map(len, texts)) > 150_000
    assert any(text.startswith("def attention_naive(") for text in texts)
    learnt, held = g.corpus()
    assert learnt[0] == learnt[-1] == held[0] == held[-1] == g.END
    ends = [int((part == g.END).sum()) - 1 for part in (learnt, held)]
    assert sum(ends) == len(texts)
    assert ends[1] == math.ceil(len(texts) / g.HELD)
    assert max(learnt.max(), held.max()) < g.VOCABULARY


@given(st.text(st.characters(min_codepoint=1, max_codepoint=127)))
def test_a_text_comes_back(text):
    assert g.decode(g.encode(text)) == text
    assert g.decode([*g.prompt_of(text), g.END]) == text


def test_what_is_not_ascii_becomes_a_question_mark():
    assert g.decode(g.encode("α = 3 µs")) == "? = 3 ?s"
    assert g.stream(["ab", "c"]).tolist() == [0, 97, 98, 0, 99, 0]


def test_tables_foretell_as_counted_by_hand():
    data = torch.tensor([0, 1, 1, 2, 0])
    alone, pairs = g.unigram(data), g.bigram(data)
    assert alone[7, 1].item() == pytest.approx(3 / 133)
    right = (1 + 3 / 133) / 3  # 1 was followed twice, once by itself
    assert pairs[1, 1].item() == pytest.approx(right)
    for table in (alone, pairs):
        assert torch.allclose(table.sum(1), torch.ones(128))
        assert table.min() > 0
    by_hand = -np.mean(
        [math.log(pairs[a, b]) for a, b in itertools.pairwise(data.tolist())]
    )
    assert g.table_loss(pairs, data) == pytest.approx(by_hand, rel=1e-5)
    learnt, held = g.corpus()
    losses = [g.table_loss(t(learnt), held) for t in (g.bigram, g.unigram)]
    assert losses[0] < losses[1] < math.log(128)


# The model and its cache


def library_block(block, config):
    """PyTorch's own layer with the weights of ours."""
    theirs = nn.TransformerEncoderLayer(
        config.width, config.heads, 4 * config.width, 0.0, F.gelu,
        batch_first=True, norm_first=True, bias=False, dtype=torch.float64,
    )  # fmt: skip
    theirs.load_state_dict(
        {
            "self_attn.in_proj_weight": block.look.qkv.weight,
            "self_attn.out_proj.weight": block.look.out.weight,
            "linear1.weight": block.think[0].weight,
            "linear2.weight": block.think[2].weight,
            "norm1.weight": block.before.weight,
            "norm2.weight": block.between.weight,
        }
    )
    return theirs


STILL = torch.ones(1, dtype=torch.float64), torch.zeros(1).double()


def test_a_block_is_the_librarys():
    block = MODELS[1].blocks[0]
    vectors = torch.randn(3, 9, 16, dtype=torch.float64)
    mask = nn.Transformer.generate_square_subsequent_mask(
        9, dtype=torch.double
    )
    theirs = library_block(block, TINY)(vectors, mask, is_causal=True)
    torch.testing.assert_close(block(vectors, STILL), theirs)


def test_attention_is_that_of_the_chapter_on_architectures():
    look = MODELS[1].blocks[0].look
    vectors = torch.randn(2, 7, 16, dtype=torch.float64)
    q, k, v = look.qkv(vectors).view(2, 7, 3, 4, 4).permute(2, 0, 3, 1, 4)
    mixed = architectures.causal(q, k, v).transpose(1, 2).reshape(2, 7, 16)
    torch.testing.assert_close(look(vectors, STILL), look.out(mixed))


def test_products_of_turned_vectors_depend_on_the_distance():
    table = g.turns(replace(TINY, width=32, context=60)).double()
    q, k = torch.randn(2, 8, dtype=torch.float64)
    turned = [[g.turned(x, table[:, i]) for i in range(60)] for x in (q, k)]
    found = torch.stack([torch.stack(one) for one in turned])
    products = found[0] @ found[1].T
    for distance in (-7, 0, 1, 30):
        along = products.diagonal(distance)
        assert torch.allclose(along, along[:1].expand_as(along), atol=1e-5)
    assert torch.allclose(products[0, 0], q @ k)
    assert torch.allclose(found[0].norm(dim=1), q.norm().expand(60))
    assert products.diagonal(1)[0] != products.diagonal(2)[0]


@pytest.mark.parametrize("shared", MODELS)
def test_later_tokens_change_nothing_before(shared):
    one, two = tokens(2, 12), tokens(2, 12)
    two[:, 8:] = 5
    first, second = MODELS[shared](one), MODELS[shared](two)
    assert torch.equal(first[:, :8], second[:, :8])
    assert not torch.equal(first[:, 8:], second[:, 8:])


@settings(max_examples=60)
@given(
    st.sampled_from([1, 2, 4]),
    st.integers(1, 3),
    st.lists(st.integers(1, 9), min_size=1, max_size=6),
    st.sampled_from([torch.float64, torch.float32]),
)
def test_a_cache_changes_no_logit(shared, rows, pieces, dtype):
    """For any number of rows, and tokens in pieces of any length."""
    pieces = [p for i, p in enumerate(pieces) if sum(pieces[: i + 1]) <= 40]
    text = tokens(rows, sum(pieces), seed=sum(pieces))
    model = tiny(shared, dtype)
    cache = model.cache(rows)
    parts = [model(part, cache) for part in text.split(pieces, 1)]
    limit = EXACT if dtype == torch.float64 else SINGLE
    difference = torch.cat(parts, 1) - model(text)
    assert difference.abs().max() < limit
    assert cache.lengths.tolist() == [sum(pieces)] * rows


@settings(max_examples=40)
@given(
    st.sampled_from([1, 2, 4]),
    st.lists(st.integers(1, 12), min_size=1, max_size=4),
    st.integers(1, 5),
    st.integers(0, 9),
)
def test_rows_of_other_lengths_do_not_disturb(shared, lengths, steps, seed):
    model = MODELS[shared]
    text = tokens(len(lengths), max(lengths) + steps, seed)
    cache = model.cache(len(lengths))
    got = [model(text[:, : max(lengths)], cache, torch.tensor(lengths))]
    where = torch.tensor(lengths)[:, None]
    for i in range(steps):
        got.append(model(text.gather(1, where + i), cache))
    for row, length in enumerate(lengths):
        right = model(text[row : row + 1, : length + steps])[0]
        assert (got[0][row, :length] - right[:length]).abs().max() < EXACT
        later = torch.stack([one[row, 0] for one in got[1:]])
        assert (later - right[length:]).abs().max() < EXACT
    assert cache.lengths.tolist() == [n + steps for n in lengths]


def test_a_row_is_a_view():
    cache = MODELS[1].cache(3)
    MODELS[1](tokens(1, 5), cache.rows(slice(1, 2)))
    assert cache.lengths.tolist() == [0, 5, 0]
    assert cache.keys[0][1, :5].abs().sum() > 0
    assert cache.keys[0][[0, 2]].abs().sum() == 0


def test_a_full_cache_says_so_before_anything_is_written():
    cache = MODELS[1].cache(2, 6)
    MODELS[1](tokens(2, 4), cache)
    kept = [one.clone() for one in cache.keys]
    with pytest.raises(g.CacheFullError, match="7 tokens, room for 6"):
        MODELS[1](tokens(2, 3), cache)
    assert all(map(torch.equal, kept, cache.keys))
    assert cache.lengths.tolist() == [4, 4]


@pytest.mark.parametrize("shared", [1, 2, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_cache_has_the_bytes_of_its_formula(shared, dtype):
    model = tiny(shared, dtype)
    cache = model.cache(3, 17)
    formula = g.cache_bytes(model.config, 3 * 17, dtype.itemsize)
    assert cache.nbytes == formula
    assert g.Cache(TINY, 3, 17).nbytes == g.cache_bytes(TINY, 51)


def test_published_models_have_the_bytes_that_are_known():
    per_token = {
        name: g.cache_bytes(config, 1, 2) for name, config in g.LLAMA.items()
    }
    assert per_token == {"Llama 3 8B": 131_072, "Llama 3 70B": 327_680}


def test_widths_that_do_not_divide_are_refused():
    for wrong in ({"width": 15}, {"heads": 4, "shared": 3}):
        with pytest.raises(ValueError, match="must divide"):
            replace(TINY, **wrong)


def test_a_random_model_is_that_of_its_seed_and_disturbs_nobody():
    before = torch.get_rng_state()
    one, two, other = (tiny(seed=seed) for seed in (3, 3, 4))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(one.head.weight, two.head.weight)
    assert not torch.equal(one.head.weight, other.head.weight)


# Learning


def test_windows_depend_on_the_step_alone():
    data = torch.arange(100)
    text, targets = g.windows(data, 10, 4, step=5)
    assert torch.equal(targets, text + 1)
    assert text.shape == (4, 10)
    assert torch.equal(text, g.windows(data, 10, 4, 5)[0])
    assert not torch.equal(text, g.windows(data, 10, 4, 6)[0])


def test_held_out_loss_sees_each_token_once():
    model = g.random_model(g.Config(16, 1, 2, context=16))
    data = g.corpus()[1][:100]
    whole = F.cross_entropy(
        model(data[:96].view(6, 16)).flatten(0, 1), data[1:97]
    )
    got = g.held_out_loss(model, data, 16)
    assert got == pytest.approx(whole.item(), rel=1e-5)


def test_some_steps_teach_more_than_how_often_a_letter_is():
    config = g.Config(width=32, depth=1, heads=2, context=32)
    learnt = g.learn(config, steps=60, batch=8, length=32, rate=1e-2)
    data, held = g.corpus()
    assert learnt.held < g.table_loss(g.unigram(data), held)
    assert len(learnt.losses) == 60
    assert learnt.losses[-1] < learnt.losses[0]
    assert not learnt.model.head.weight.requires_grad
    again = g.learn(config, steps=2, batch=8, length=32, rate=1e-2)
    twice = g.learn(config, steps=2, batch=8, length=32, rate=1e-2)
    assert again.losses == twice.losses


# Sampling

CHANCES = st.lists(st.floats(-9, 9), min_size=2, max_size=12).map(torch.tensor)


@given(CHANCES, st.floats(0.1, 3), st.integers(0, 12), st.floats(0.05, 1))
def test_what_stays_is_a_distribution(logits, temperature, top_k, top_p):
    how = g.Sampling(temperature, top_k, top_p)
    got = g.probabilities(logits.double(), how)
    assert got.sum().item() == pytest.approx(1)
    stay = got > 0
    if top_k:
        assert stay.sum() <= top_k
    assert logits[got.argmax()] == pytest.approx(logits.max().item())
    whole = torch.softmax(logits.double() / temperature, 0)
    ratio = got[stay] / whole[stay]  # those that stay keep their proportions
    assert torch.allclose(ratio, ratio[:1].expand_as(ratio))


@given(CHANCES, st.floats(0.05, 0.99))
def test_top_p_keeps_the_fewest(logits, p):
    whole = torch.softmax(logits.double(), 0)
    stay = g.probabilities(logits.double(), g.Sampling(1, top_p=p)) > 0
    assert whole[stay].sum() >= p - 1e-9
    assert whole[stay].sum() - whole[stay].min() < p + 1e-9


def test_temperature_zero_is_greedy():
    logits = torch.tensor([[1.0, 3.0, 2.0], [5.0, 0.0, 1.0]])
    assert g.probabilities(logits, g.GREEDY).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert g.choose(logits, [g.GREEDY, g.GREEDY], [0.9, 0.1]) == [1, 0]
    cold = g.probabilities(logits, g.Sampling(0.01))
    assert torch.allclose(cold, g.probabilities(logits, g.GREEDY), atol=1e-9)


def test_draws_have_their_probabilities():
    chances = torch.tensor([0.0, 0.5, 0.0, 0.125, 0.375, 0.0])
    grid = (np.arange(8000) + 0.5) / 8000
    drawn = np.bincount(
        g.draw(chances.expand(len(grid), -1), grid), minlength=6
    )
    assert (drawn / 8000).tolist() == chances.tolist()
    ends = [0.0, np.nextafter(1, 0), 0.51]
    assert g.draw(3 * chances.expand(3, -1), ends) == [1, 4, 3]


def test_each_row_is_chosen_its_own_way():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 9, generator=generator)
    hows = [g.GREEDY, g.Sampling(1.0), g.Sampling(0.5, 2)] * 2
    numbers = [0.1, 0.9, 0.6, 0.3, 0.2, 0.8]
    alone = [
        g.choose(logits[i : i + 1], hows[i : i + 1], numbers[i : i + 1])[0]
        for i in range(6)
    ]
    assert g.choose(logits, hows, numbers) == alone


def test_random_numbers_belong_to_request_and_place():
    assert g.uniforms(3, 5).tolist() == g.uniforms(3, 9)[:5].tolist()
    assert g.uniforms(3, 5).tolist() != g.uniforms(4, 5).tolist()
    numbers = np.concatenate([g.uniforms(seed, 50) for seed in range(20)])
    assert len(set(numbers)) == 1000
    assert abs(numbers.mean() - 0.5) < 0.05


@pytest.mark.parametrize(
    "wrong", [{"temperature": -1}, {"top_k": -1}, {"top_p": 0}, {"top_p": 1.1}]
)
def test_sampling_without_meaning_is_refused(wrong):
    with pytest.raises(ValueError, match="top_p"):
        g.Sampling(**wrong)


# One sequence

HOW = st.sampled_from(
    [g.GREEDY, g.Sampling(1.0), g.Sampling(0.7, 5), g.Sampling(1.5, 0, 0.8)]
)


@settings(max_examples=50)
@given(
    st.sampled_from([1, 2, 4]),
    st.lists(st.integers(1, 12), min_size=1, max_size=20),
    st.integers(0, 20),
    HOW,
    st.integers(0, 99),
    st.sampled_from([None, 0, 3]),
)
def test_with_a_cache_the_same_tokens(shared, prompt, count, how, seed, stop):
    asked = (MODELS[shared], prompt, count, how, seed, stop)
    got = g.with_cache(*asked)
    assert got == g.without_cache(*asked)
    assert len(got) == count or got[-1] == stop
    assert stop not in got[:-1]


def test_too_long_or_empty_is_refused():
    for way in (g.with_cache, g.without_cache):
        with pytest.raises(ValueError, match="positions for 40"):
            way(MODELS[1], [1] * 30, 11)
        with pytest.raises(ValueError, match="one token at least"):
            way(MODELS[1], [], 3)
    with pytest.raises(ValueError, match="positions"):
        g.serve_model(MODELS[1], [g.Request((1,) * 30, 11)])
    for cache in (None, MODELS[1].cache(1, 50)):
        with pytest.raises(ValueError, match="41 tokens; .* for 40"):
            MODELS[1](tokens(1, 41), cache)


# Many sequences

REQUESTS = st.lists(
    st.builds(
        g.Request,
        st.lists(st.integers(1, 12), min_size=1, max_size=15).map(tuple),
        st.integers(1, 15),
        HOW,
        st.integers(0, 99),
        st.sampled_from([0.0, 0.0, 1e-4, 5.0]),
    ),
    min_size=1,
    max_size=9,
)


@settings(max_examples=40)
@given(
    REQUESTS,
    st.integers(1, 4),
    st.booleans(),
    st.sampled_from([None, 1, 4, 100]),
)
def test_company_changes_no_answer(requests, slots, continuous, chunk):
    """In any batch, an answer is what it would be alone."""
    model = MODELS[2]
    served = g.serve_model(model, requests, slots, continuous, chunk)
    for request, answer in zip(requests, served.answers, strict=True):
        assert answer.request is request
        assert answer.tokens == g.with_cache(
            model, request.prompt, request.most, request.how, request.seed
        )
        assert answer.first > 0
        assert (answer.gaps >= 0).all()
        assert len(answer.times) == len(answer.steps) == len(answer.tokens)
    fed = sum(step.prompt_tokens for step in served.steps)
    assert fed == sum(len(request.prompt) for request in requests)
    if chunk:
        assert max(step.prompt_tokens for step in served.steps) <= chunk
    assert max(step.decoded for step in served.steps) <= slots


def pretend(lengths, slots, continuous, **more):
    requests = [g.Request((1,), n, **more) for n in lengths]
    return g.serve(requests, g.PretendEngine(slots), continuous)


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=25), st.integers(1, 6)
)
def test_steps_of_both_policies(lengths, slots):
    """The first token comes from the prompt, each other from a step."""
    static = pretend(lengths, slots, False)
    groups = [lengths[i : i + slots] for i in range(0, len(lengths), slots)]
    assert static.seconds == sum(max(group) - 1 for group in groups)
    continuous = pretend(lengths, slots, True)
    assert continuous.seconds <= static.seconds
    least = max(max(lengths) - 1, sum(n - 1 for n in lengths) / slots)
    assert continuous.seconds >= least
    assert continuous.tokens == static.tokens == sum(lengths)


@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=20),
    st.integers(1, 5),
    st.booleans(),
)
def test_a_slot_has_one_request_at_a_time(lengths, slots, continuous):
    answers = pretend(lengths, slots, continuous).answers
    taken = [(a.slot, step) for a in answers for step in set(a.steps)]
    by_slot = [
        [set(a.steps) for a in answers if a.slot == slot]
        for slot in range(slots)
    ]
    for spans in by_slot:
        for one, two in itertools.combinations(spans, 2):
            assert len(one & two) == 0
    assert {slot for slot, _ in taken} <= set(range(slots))
    begins = [answer.steps[0] for answer in answers]
    assert begins == sorted(begins)  # first come, first served


def test_a_known_timetable():
    static = pretend([9, 2, 2, 2], 2, False)
    assert [a.times[-1] for a in static.answers] == [8, 1, 9, 9]
    continuous = pretend([9, 2, 2, 2], 2, True)
    assert [a.times[-1] for a in continuous.answers] == [8, 1, 2, 3]
    assert continuous.used == pytest.approx((2 * 3 + 5) / 8 / 2)


def test_idle_time_is_jumped_over():
    requests = [g.Request((1, 1), 3, arrives=t) for t in (100.0, 7000.0)]
    engine = g.PretendEngine(2, lambda tokens, prefill: float(tokens))
    served = g.serve(requests, engine)
    assert engine.now == 8  # two prompts of 2, four steps of 1
    assert [a.first for a in served.answers] == [2, 2]
    assert served.answers[1].times[0] == 7002
    assert served.seconds == 7004 - 100


def test_a_long_prompt_makes_others_wait_unless_it_comes_in_chunks():
    requests = g.long_among_short(100, short=2, tokens=30)
    waited = {}
    for chunk in (None, 8):
        engine = g.PretendEngine(4, lambda tokens, prefill: float(tokens))
        served = g.serve(requests, engine, chunk=chunk)
        waited[chunk] = max(max(a.gaps) for a in served.answers[:2])
        assert [len(a.tokens) for a in served.answers] == [30, 30, 4]
    assert waited[None] > 100
    assert waited[8] <= 8 + 3


def test_wrong_requests_are_refused():
    for wrong in (((), 3), ((1,), 0)):
        with pytest.raises(ValueError, match="request"):
            g.Request(*wrong)
    with pytest.raises(ValueError, match="chunk"):
        g.serve([], g.PretendEngine(1), chunk=0)
    assert g.serve([], g.PretendEngine(1)).answers == []


# Blocks


@settings(max_examples=60)
@given(st.data())
def test_blocks_belong_to_those_who_have_them(data):
    size = data.draw(st.integers(1, 5))
    blocks, lengths = g.Blocks(12, size), {}
    for number in range(data.draw(st.integers(1, 25))):
        kind = data.draw(st.sampled_from(["grow", "share", "release"]))
        name = data.draw(st.sampled_from(sorted(lengths) or [number]))
        if kind == "grow":
            wanted = lengths.get(name, 0) + data.draw(st.integers(1, 9))
            before = blocks.free, dict(blocks.tables)
            try:
                blocks.grow(name, wanted)
                lengths[name] = wanted
            except g.NoBlockError:
                assert (blocks.free, blocks.tables) == before
        elif kind == "share" and lengths:
            lengths[number + 100] = blocks.share(
                number + 100, name, lengths[name]
            )
        elif kind == "release" and lengths:
            blocks.release(name)
            del lengths[name]
        owned = [b for table in blocks.tables.values() for b in table]
        assert blocks.lengths == lengths
        assert len(set(owned)) + blocks.free == 12
        assert blocks.owners == [owned.count(b) for b in range(12)]
        for who, length in lengths.items():
            assert len(blocks.tables[who]) == math.ceil(length / size)
            places = {blocks.place(who, i) for i in range(length)}
            assert len(places) == length


def test_a_common_beginning_is_kept_once():
    blocks = g.Blocks(8, 4)
    blocks.grow("first", 10)
    assert blocks.share("second", "first", 10) == 8
    assert blocks.tables["second"] == blocks.tables["first"][:2]
    assert len(blocks.grow("second", 12)) == 1
    assert blocks.tables["second"][2] != blocks.tables["first"][2]
    assert blocks.free == 4
    blocks.release("first")
    assert blocks.free == 5
    assert blocks.place("second", 9) == (blocks.tables["second"][2], 1)
    with pytest.raises(IndexError, match="no token 12"):
        blocks.place("second", 12)
    with pytest.raises(ValueError, match="begun already"):
        blocks.share("second", "second", 4)
    with pytest.raises(g.NoBlockError, match="9 blocks wanted, 5 free"):
        blocks.grow("third", 33)
    with pytest.raises(ValueError, match="blocks of tokens"):
        g.Blocks(0, 4)


@given(st.lists(st.integers(1, 64), min_size=1), st.integers(1, 64))
def test_waste_is_counted(lengths, size):
    slots = [1 for n in lengths for i in range(math.ceil(n / size) * size)]
    assert g.waste(lengths, size) == pytest.approx(
        1 - sum(lengths) / len(slots)
    )
    assert g.waste(lengths, 64) == pytest.approx(
        1 - sum(lengths) / 64 / len(lengths)
    )
    assert g.waste([], size) == 0


# Speculating


def test_what_is_accepted_is_distributed_as_the_model():
    generator = np.random.default_rng(0)
    p = torch.tensor([[0.5, 0.1, 0.4, 0.0], [0.2, 0.3, 0.1, 0.4]])
    q = torch.tensor([[0.1, 0.6, 0.1, 0.2]])
    rounds, counts = 6000, np.zeros((2, 4))
    for _ in range(rounds):
        drafted = g.draw(q, generator.random(1))
        numbers = iter(generator.random(3))
        new = g.accept(p, q, drafted, numbers)
        counts[0, new[0]] += 1
        if len(new) == 2:
            counts[1, new[1]] += 1
    for row, count in zip(p.numpy(), counts, strict=True):
        expected = row * count.sum()
        spread = np.sqrt(expected * (1 - row) + 1)
        assert (abs(count - expected) < 4 * spread).all()
    kept = counts[1].sum() / rounds
    assert kept == pytest.approx(g.agreement(p[:1], q).item(), abs=0.03)


def test_the_expected_tokens_are_those_of_a_simulation():
    generator = np.random.default_rng(1)
    p, q = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.4, 0.3, 0.3])
    ahead, lengths = 3, []
    for _ in range(3000):
        drafted = g.draw(q.expand(ahead, 3), generator.random(ahead))
        numbers = iter(generator.random(2 * ahead + 2))
        new = g.accept(
            p.expand(ahead + 1, 3), q.expand(ahead, 3), drafted, numbers
        )
        lengths.append(len(new))
    alpha = g.agreement(p, q).item()
    assert alpha == pytest.approx(0.7)
    formula = g.expected_tokens(alpha, ahead)
    assert formula == pytest.approx((1 - alpha**4) / (1 - alpha))
    assert np.mean(lengths) == pytest.approx(formula, abs=0.08)
    assert g.expected_tokens(1.0, 5) == 6
    assert g.expected_tokens(0.0, 5) == 1


@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=12),
    st.integers(1, 25),
    st.integers(0, 5),
    st.sampled_from([None, 0, 3]),
)
def test_greedy_speculation_is_greedy(prompt, count, ahead, stop):
    table = torch.rand(
        13, 13, generator=torch.Generator().manual_seed(count)
    ).double()
    got, rounds = g.speculate(
        MODELS[2], table, prompt, count, ahead, stop=stop
    )
    assert got == g.with_cache(MODELS[2], prompt, count, stop=stop)
    assert sum(rounds) == len(got) - 1
    assert all(1 <= new <= ahead + 1 for new in rounds)


def test_the_second_token_is_distributed_as_the_models():
    model, prompt = MODELS[1], [1, 2]
    table = torch.ones(13, 13, dtype=torch.float64) / 13
    how = g.Sampling(0.3)
    seconds = {}
    for seed in range(800):
        got, _ = g.speculate(model, table, prompt, 2, 1, how, seed, None)
        seconds.setdefault(got[0], []).append(got[1])
    first = max(seconds, key=lambda token: len(seconds[token]))
    logits = model(torch.tensor([[*prompt, first]]))[0, -1]
    right = g.probabilities(logits, how).numpy()
    count = np.bincount(seconds[first], minlength=13)
    expected = right * count.sum()
    assert (abs(count - expected) < 4 * np.sqrt(expected + 1)).all()


# What it costs


@pytest.mark.parametrize("shared", [1, 4])
@pytest.mark.parametrize(("rows", "before"), [(1, 0), (3, 20)])
def test_a_step_has_the_operations_that_pytorch_counts(shared, rows, before):
    model = tiny(shared, torch.float32)
    cache = model.cache(rows)
    cache.lengths[:] = before
    with FlopCounterMode(display=False) as counted, torch.inference_mode():
        model(tokens(rows, 1), cache)
    work = g.pass_work(model.config, rows, 1, before)
    assert counted.get_total_flops() == work.operations


def test_matrices_are_the_parameters_that_are_multiplied():
    for model in MODELS.values():
        square = [
            p for n, p in model.named_parameters()
            if p.ndim == 2 and n != "embed.weight"
        ]  # fmt: skip
        assert sum(p.numel() for p in square) == model.config.matrices


def test_a_prompt_is_its_tokens_one_by_one():
    whole = g.pass_work(TINY, 2, 9, 4)
    steps = [g.pass_work(TINY, 2, 1, 4 + i) for i in range(9)]
    assert whole.operations == sum(step.operations for step in steps)
    assert whole.bytes < sum(step.bytes for step in steps)
    assert whole.cached == 2 * g.cache_bytes(TINY, 13)
    assert whole.intensity > max(step.intensity for step in steps)


@given(st.integers(1, 300), st.integers(0, 9000), st.floats(1e8, 1e11))
def test_a_step_reads_weights_once_and_each_sequences_cache(
    rows, before, parameters
):
    config, peaks = (
        g.LLAMA["Llama 3 8B"],
        Peaks("a", {"float32": math.inf}, 1e12),
    )
    rate = g.decode_rate(
        config, rows, before, peaks, "float32", 1, 2, parameters
    )
    read = parameters + rows * g.cache_bytes(config, before + 1, 2)
    assert rate == pytest.approx(rows * 1e12 / read)
    ours = replace(peaks, rates={"float32": 1e12})
    bound = 1e12 / (2 * parameters + 4 * 32 * 4096 * (before + 1))
    assert g.decode_rate(
        config, rows, before, ours, "float32", 1, 2, parameters
    ) == pytest.approx(min(rate, bound))


def test_without_a_number_of_parameters_those_of_the_shape_are_meant():
    by_shape = g.pass_work(TINY, 3, 5, 7, 2, 1)
    assert by_shape == g.pass_work(TINY, 3, 5, 7, 2, 1, TINY.matrices)


def test_the_higher_roofs_are_believed():
    one, two = (
        Peaks("a", {"float32": r}, m) for r, m in ((100.0, 9.0), (80.0, 10.0))
    )
    assert g.higher(one, two) == Peaks("a", {"float32": 100.0}, 10.0)


def test_time_follows_from_the_lower_roof():
    peaks = Peaks("made up", {"float32": 100.0}, 10.0)
    assert g.Work(1000, 10, 10).seconds(peaks) == 10
    assert g.Work(1000, 900, 100).seconds(peaks) == 100
    one, many = (g.decode_rate(TINY, n, 0, peaks) for n in (1, 2))
    assert one < many < 2 * one + 1e-9
    small = g.decode_rate(TINY, 1, 0, peaks, itemsize=1)
    assert small / one <= 4


@given(st.integers(1, 50), st.integers(0, 50))
def test_recomputed_tokens_are_a_sum(prompt, count):
    formula = count * prompt + count * (count - 1) // 2
    assert g.recomputed(prompt, count) == formula


def test_ranks_read_less_each_and_wait_for_sums():
    config, link = g.LLAMA["Llama 3 70B"], Link(1e-6, 1e-11)
    alone = g.split_token(config, 7e10, 1, 4e12, link)
    four = g.split_token(config, 7e10, 4, 4e12, link)
    assert alone.ring == alone.at_once == 0
    assert four.reading == pytest.approx(alone.reading / 4)
    # 160 sums, six messages each of a quarter of 8,192 numbers
    assert four.ring == pytest.approx(160 * 6 * (1e-6 + 4096 * 1e-11))
    assert four.at_once == pytest.approx(160 * (1e-6 + 3 * 16384 * 1e-11))


def test_few_bits_and_their_scales():
    assert g.quantised_bytes(16) == 2
    assert g.quantised_bytes(4, 128, 16) == pytest.approx(4.125 / 8)


@given(st.lists(st.integers(1, 40)), st.integers(0, 10**5))
def test_rows_fit_as_long_as_there_is_room(lengths, room):
    count = g.most_rows(TINY, room, lengths)
    taken = [g.cache_bytes(TINY, n, 2) for n in lengths]
    assert sum(taken[:count]) <= room
    assert count == len(lengths) or sum(taken[: count + 1]) > room


# Under load


@pytest.fixture(scope="module")
def reader():
    """A model for the book's characters that has learnt nothing."""
    return g.random_model(g.Config(16, 1, 2))


def test_requests_come_as_poisson_says():
    requests = g.requests_of(400, rate=20.0)
    come = np.array([r.arrives for r in requests])
    assert (np.diff(come) > 0).all()
    assert np.diff(come).mean() == pytest.approx(1 / 20, rel=0.2)
    assert requests == g.requests_of(400, rate=20.0)
    assert {r.arrives for r in g.requests_of(5)} == {0.0}
    assert all(r.prompt[0] == g.END and len(r.prompt) <= 64 for r in requests)
    assert all(8 <= r.most <= 160 for r in requests)


def test_the_same_answers_under_every_policy_and_load(reader):
    rows = g.under_load(reader, [5.0, 500.0], count=6, slots=2, most=20)
    assert [row["policy"] for row in rows] == ["static", "continuous"] * 2
    for row in rows:
        assert 0 < row["first p50"] <= row["first p99"]
        assert 0 < row["gap p50"] <= row["gap p99"]
        assert 0 < row["used"] <= 1
        assert row["rate"] > 0


# What goes wrong


@pytest.mark.parametrize("each", [False, True])
def test_a_shifted_cache_gives_other_logits_and_no_error(each):
    text, model = tokens(4, 25), MODELS[1]
    right = F.cross_entropy(
        model(text[:, :-1])[:, 9:].flatten(0, 1), text[:, 10:].flatten()
    )
    loss, off = traps.shifted(model, text, 10, 0, each)
    assert loss == pytest.approx(right.item())
    assert off < EXACT
    for shift in (-1, 1):
        loss, off = traps.shifted(model, text, 10, shift, each)
        assert loss != pytest.approx(right.item())
        assert off > 1e-3


def test_padding_behind_is_harmless_and_in_front_is_not():
    prompts = [[1, 2, 3, 4, 5], [6], [7, 8]]
    alone = [MODELS[2](torch.tensor([p]))[0, -1] for p in prompts]
    right = traps.padded_right(MODELS[2], prompts)
    assert (right - torch.stack(alone)).abs().max() < EXACT
    left = traps.padded_left(MODELS[2], prompts)
    differs = (left - right).abs().amax(1)
    assert differs[0] < EXACT  # the longest needs no padding
    assert differs[1:].min() > 1e-3


def test_a_growing_cache_is_right_and_writes_everything_again():
    model, text = tiny(2, torch.float32), tokens(1, 30)
    cache = traps.GrowingCache(model.config)
    got = torch.cat([model(text[:, i : i + 1], cache) for i in range(30)], 1)
    assert (got - model(text)).abs().max() < SINGLE
    token = g.cache_bytes(model.config, 1)
    assert traps.written_bytes(model, 30, growing=False) == 30 * token
    assert traps.written_bytes(model, 30, growing=True) == 465 * token
    with pytest.raises(g.CacheFullError):
        traps.written_bytes(model, 41, growing=True)


def test_a_batch_may_change_the_last_bits_and_no_more():
    got = traps.batch_difference(tiny(1, torch.float32), tokens(8, 20), [1, 8])
    assert got[0] == 0
    assert got[1] < SINGLE
    exact = traps.batch_difference(MODELS[1], tokens(8, 20), [8])
    assert exact[0] < EXACT


def test_neighbours_change_what_has_no_seed_of_its_own(reader):
    requests = [
        replace(r, most=6, how=g.Sampling(1.0))
        for r in g.requests_of(12, most=8)
    ]
    found = g.neighbours_change(reader.double(), requests)
    reader.float()
    assert found["a seed for each request"] == 0
    assert found["one generator"] > 6


# Records and comparisons


def test_a_record_is_json_and_says_what_it_is(tmp_path):
    config = g.Config(16, 1, 2)
    data = g.record(config, rows=(1, 2), prompts=(1, 8), count=4)
    path = records.write("generating", data, "command", tmp_path)
    again = json.loads(path.read_text("utf8"))["data"]
    assert again["config"]["width"] == 16
    kinds = [(p["pass"], p["size"]) for p in again["points"]]
    assert kinds == [
        ("prefill", 1),
        ("prefill", 8),
        ("decode", 1),
        ("decode", 2),
    ]
    for point in again["points"]:
        assert point["rate"] == pytest.approx(point["size"] / point["seconds"])
        assert point["share"] > 0
    assert list(again["ways"]) == ["cache", "batching"]


def test_comparisons_begin_with_the_naive_way(reader):
    cache = g.compare_cache(8, 1, reader)
    assert list(cache)[:2] == ["without a cache", "with a cache"]
    batching = g.compare_batching(4, 8, 2, 1, reader)
    assert list(batching) == [
        "one by one", "static batches", "continuous batches"
    ]  # fmt: skip
    one, *others = (timing.result for timing in batching.values())
    for other in others:
        assert [a.tokens for a in other.answers] == [
            a.tokens for a in one.answers
        ]
    assert "×" in benches.table(batching)
    assert set(g.RECORDS) == {"generating"}
    assert len(g.COMPARISONS) == 2


# Exercises


@pytest.mark.parametrize(
    "name", [n for n in EXERCISES if n.startswith(practice.__name__)]
)
def test_solutions_pass_their_checks(name):
    one = EXERCISES[name]
    one.check(one.solution)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("rows_that_fit", lambda *a: a[0] // math.prod(a[1:]), "expected"),
        (
            "seen_keys",
            lambda n, new: (
                torch.arange(int(n.max()) + new)
                < (n[:, None] + torch.arange(new))[..., None]
            ),
            "sees",
        ),
        ("top_p", lambda c, p: [i for i, x in enumerate(c) if x > p], "top_p"),
    ],
)
def test_wrong_answers_are_told_apart(name, wrong, message):
    with pytest.raises(AssertionError, match=message):
        EXERCISES[f"{practice.__name__}.{name}"].check(wrong)
