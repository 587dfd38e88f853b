# SPDX-License-Identifier: Apache-2.0
"""Bodies that are wrong: types, fields, values, and texts that are no JSON at all."""
import json

import pytest

from harness import NOT_STARTED, RUNNING

PREFIX = "An error occurred when deserializing the json body of a request: "

# Every body that this version takes: what is good for each field.
BODIES = [
    ("PUT", "/machine-config", {"vcpu_count": 2, "mem_size_mib": 64, "smt": False,
                                "track_dirty_pages": False, "huge_pages": "None"},
     ("vcpu_count", "mem_size_mib")),
    ("PATCH", "/machine-config", {"vcpu_count": 2, "mem_size_mib": 64, "smt": False,
                                  "track_dirty_pages": False, "huge_pages": "None"}, ()),
    ("PUT", "/boot-source", {"kernel_image_path": "/nowhere", "initrd_path": "/nowhere",
                             "boot_args": "x"}, ("kernel_image_path",)),
    ("PUT", "/drives/d", {"drive_id": "d", "partuuid": "0-1", "is_root_device": True,
                          "cache_type": "Unsafe", "is_read_only": True, "path_on_host": "/d",
                          "rate_limiter": {}, "io_engine": "Sync", "direct": True},
     ("drive_id", "is_root_device")),
    ("PATCH", "/drives/d", {"drive_id": "d", "path_on_host": "/d", "rate_limiter": {}},
     ("drive_id",)),
    ("PUT", "/network-interfaces/n", {"iface_id": "n", "host_dev_name": "tap",
                                      "guest_mac": "06:00:00:00:00:01", "mtu": 1500,
                                      "rx_rate_limiter": {}, "tx_rate_limiter": {}},
     ("iface_id", "host_dev_name")),
    ("PATCH", "/network-interfaces/n", {"iface_id": "n", "rx_rate_limiter": {},
                                        "tx_rate_limiter": {}}, ("iface_id",)),
    ("PUT", "/actions", {"action_type": "InstanceStart"}, ("action_type",)),
    ("PATCH", "/vm", {"state": "Paused"}, ("state",)),
]

# Fields that may be null, which is as good as absent.
NULLABLE = {"initrd_path", "boot_args", "partuuid", "is_read_only", "path_on_host",
            "rate_limiter", "io_engine", "guest_mac", "mtu", "rx_rate_limiter",
            "tx_rate_limiter"}
IDS = [f"{m} {p}" for m, p, *_ in BODIES]

WRONG = {
    int: [None, "1", 1.5, 1e3, -1, True, [], {}, [1], {"a": 1}],
    bool: [None, "true", 0, 1, [], {}],
    str: [1, 0.5, True, [], {}, ["x"], {"x": "y"}],
    dict: [1, 0.5, True, [], "{}", {"x": {}}, {"ops": 1}, {"ops": []}, {"ops": {}}],
}


def everything(vm):
    return [vm.get(p).json for p in ("/", "/machine-config", "/vm/config")]


def refused(vm, method, path, body):
    """The fault of a body that must not change anything."""
    before = everything(vm)
    fault = vm.request(method, path, body).fault
    assert everything(vm) == before
    return fault


@pytest.mark.parametrize("method,path,good,required", BODIES, ids=IDS)
def test_wrong_types(vm, method, path, good, required):
    for field, value in good.items():
        for wrong in WRONG[type(value)]:
            if wrong is None and (field in NULLABLE or
                                  (method, path) == ("PATCH", "/machine-config")):
                continue
            body = {**good, field: wrong}
            fault = refused(vm, method, path, body)
            assert fault.startswith(PREFIX), (field, wrong, fault)
            assert "line 1 column" in fault, (field, wrong, fault)


@pytest.mark.parametrize("method,path,good,required", BODIES, ids=IDS)
def test_unknown_fields(vm, method, path, good, required):
    for extra in ("x", "", "Vcpu_count", "kernel_image_path ", "__proto__", "\u00e9"):
        fault = refused(vm, method, path, {**good, extra: 1})
        assert fault.startswith(PREFIX + "unknown field"), fault
        assert f"`{extra}`" in fault and f"`{list(good)[0]}`" in fault, fault


@pytest.mark.parametrize("method,path,good,required", BODIES, ids=IDS)
def test_duplicate_fields(vm, method, path, good, required):
    for field, value in good.items():
        body = json.dumps(good)[:-1] + f", {json.dumps(field)}: {json.dumps(value)}}}"
        assert f"duplicate field `{field}`" in refused(vm, method, path, body)


@pytest.mark.parametrize("method,path,good,required", BODIES, ids=IDS)
def test_missing_fields(vm, method, path, good, required):
    for field in required:
        body = {k: v for k, v in good.items() if k != field}
        assert f"missing field `{field}`" in refused(vm, method, path, body)


@pytest.mark.parametrize("method,path,good,required", BODIES, ids=IDS)
def test_bodies_of_another_kind(vm, method, path, good, required):
    for body in ("null", "true", "1", "-1.5e3", '"text"', "[1]", '["vcpu_count"]'):
        refused(vm, method, path, body)


NO_JSON = {
    "nothing but blanks": " \t\r\n", "a word": "hello", "half": '{"vcpu_count": 1',
    "no value": '{"vcpu_count":}', "no name": "{1: 2}", "trailing comma": '{"vcpu_count": 1,}',
    "two objects": '{"vcpu_count":1,"mem_size_mib":64} {}', "trailing text": '{} x',
    "single quotes": "{'vcpu_count': 1}", "comment": '{/* */"vcpu_count": 1}',
    "NaN": '{"vcpu_count": NaN}', "Infinity": '{"vcpu_count": Infinity}',
    "leading zero": '{"vcpu_count": 01, "mem_size_mib": 64}',
    "plus": '{"vcpu_count": +1, "mem_size_mib": 64}',
    "hexadecimal": '{"vcpu_count": 0x1, "mem_size_mib": 64}',
    "bare point": '{"vcpu_count": 1., "mem_size_mib": 64}',
    "True": '{"vcpu_count": 1, "mem_size_mib": 64, "smt": True}',
    "bad escape": '{"\\q": 1}', "lone surrogate": '{"\\ud800": 1}', "short escape": '{"\\u12": 1}',
    "newline in a string": '{"a\n": 1}', "no end of string": '{"vcpu_count',
    "byte order mark": '\ufeff{"vcpu_count":1,"mem_size_mib":64}',
    "closed too early": '}', "wrong bracket": '{"vcpu_count": [1}', "colons": '{"a"::1}',
}


@pytest.mark.parametrize("name", NO_JSON)
def test_texts_that_are_no_json(vm, name):
    for method, path, *_ in BODIES:
        assert refused(vm, method, path, NO_JSON[name]).startswith(PREFIX)


@pytest.mark.parametrize("raw", [b'{"a\xff": 1}', b"\xff\xfe{\x00}\x00", b'{"\xc0\xaf": 1}',
                                 b'{"\xed\xa0\x80": 1}', b"\0", b'{"a": 1}\0', b'\0{"a": 1}'])
def test_bytes_that_are_no_utf8(vm, raw):
    for method, path, *_ in BODIES:
        assert refused(vm, method, path, raw).startswith(PREFIX)


@pytest.mark.parametrize("body", [
    "[" * 20, "[" * 50000, "{" + '"a":{' * 8000, '{"x":' * 17 + "1" + "}" * 17,
    '{"vcpu_count":' + "[" * 100 + "]" * 100 + "}", "[" * 25000 + "]" * 25000],
    ids=["20", "50000", "objects", "17", "value", "closed"])
def test_deep_nesting(vm, body):
    for method, path, *_ in BODIES:
        refused(vm, method, path, body)
    assert vm.state() == NOT_STARTED


def test_a_megabyte_within_the_limit(xenolith):
    vm = xenolith("--http-api-max-payload-size", str(2 << 20))
    for body in ('{"kernel_image_path": "' + "x" * (1 << 20) + '"}', "[" * (1 << 20),
                 "[" + "1," * (1 << 19) + "1]", " " * (1 << 20),
                 '{"' + "y" * (1 << 20) + '": 1}'):
        fault = refused(vm, "PUT", "/boot-source", body)
        assert len(fault) < 1000


@pytest.mark.parametrize("vcpus", [0, 33, 255])
def test_vcpus_out_of_range(vm, vcpus):
    for method in ("PUT", "PATCH"):
        fault = refused(vm, method, "/machine-config", {"vcpu_count": vcpus, "mem_size_mib": 64})
        assert fault == ("Machine config error: The number of vCPUs must be greater than 0, "
                         "less than 32 and must be 1 or an even number if SMT is enabled.")


@pytest.mark.parametrize("vcpus,how", [
    (256, "value: integer"), (2**32 + 1, "value: integer"), (2**64 - 1, "value: integer"),
    (-1, "value: integer"), (2**64, "type: floating point"), (10**60, "type: floating point")])
def test_vcpus_that_are_no_byte(vm, vcpus, how):
    fault = refused(vm, "PUT", "/machine-config", {"vcpu_count": vcpus, "mem_size_mib": 64})
    assert fault.startswith(f"{PREFIX}invalid {how} `{vcpus}`, expected u8"), fault


def test_no_memory(vm):
    for method in ("PUT", "PATCH"):
        fault = refused(vm, method, "/machine-config", {"vcpu_count": 1, "mem_size_mib": 0})
        assert fault == ("Machine config error: The memory size (MiB) is either 0, or not a "
                         "multiple of the configured page size.")


@pytest.mark.parametrize("mib", [2**30, 2**44, 2**64 - 1])
def test_memory_that_no_host_has_is_noticed_at_the_start(vm, kernel, mib):
    """As in the original's own test: accepted, refused at the start, corrected, started."""
    assert vm.put("/machine-config", {"vcpu_count": 2, "mem_size_mib": 64}).status == 204
    assert vm.boot_source(kernel).status == 204
    assert vm.patch("/machine-config", {"mem_size_mib": mib}).status == 204
    assert vm.get("/machine-config").json["mem_size_mib"] == mib
    fault = vm.action("InstanceStart").fault
    assert fault.startswith("Start microvm error: ") and f"{mib} MiB" in fault
    assert vm.state() == NOT_STARTED
    assert vm.patch("/machine-config", {"mem_size_mib": 256}).status == 204
    assert vm.action("InstanceStart").status == 204
    assert vm.get("/vm/config").json["machine-config"]["mem_size_mib"] == 256


def test_memory_beyond_64_bits(vm):
    fault = refused(vm, "PUT", "/machine-config", {"vcpu_count": 1, "mem_size_mib": 2**64})
    assert fault.startswith(PREFIX + "invalid type: ") and "expected usize" in fault


@pytest.mark.parametrize("field,value", [
    ("smt", True), ("track_dirty_pages", True), ("huge_pages", "2M"),
    ("huge_pages", "Transparent"), ("cpu_template", "T2")])
def test_what_this_machine_does_not_have(vm, field, value):
    fault = refused(vm, "PUT", "/machine-config",
                    {"vcpu_count": 2, "mem_size_mib": 64, field: value})
    assert fault.startswith("Machine config error: ") and field in fault


@pytest.mark.parametrize("method,path,body,expected", [
    ("PATCH", "/vm", {"state": "foo"}, "unknown variant `foo`, expected `Paused` or `Resumed`"),
    ("PATCH", "/vm", {"state": "paused"}, "unknown variant `paused`"),
    ("PUT", "/actions", {"action_type": "foo"}, "unknown variant `foo`, expected one of"),
    ("PUT", "/actions", {"action_type": ""}, "unknown variant ``"),
    ("PUT", "/machine-config", {"vcpu_count": 1, "mem_size_mib": 64, "huge_pages": "1G"},
     "unknown variant `1G`"),
    ("PUT", "/machine-config", {"vcpu_count": 1, "mem_size_mib": 64, "cpu_template": "x"},
     "unknown variant `x`")])
def test_unknown_variants(vm, method, path, body, expected):
    assert expected in refused(vm, method, path, body)


def test_wordings_of_the_original(vm):
    assert refused(vm, "PUT", "/machine-config", '{"mem_size_mib": 128}') == (
        PREFIX + "missing field `vcpu_count` at line 1 column 21.")
    assert refused(vm, "PUT", "/actions", '{"action_type": "InstanceStart", "x": 1}').startswith(
        PREFIX + "unknown field `x`, expected `action_type`")
    assert refused(vm, "PUT", "/vm", "{}").endswith("PUT vm.")
    assert refused(vm, "PATCH", "/machine-config", "{}") == "Empty PATCH request."


def test_boot_args_too_long(vm, kernel):
    for length in (2049, 4096, 40000):
        fault = refused(vm, "PUT", "/boot-source",
                        {"kernel_image_path": kernel, "boot_args": "x" * length})
        assert "boot_args" in fault and "2048" in fault


def test_paths_too_long(vm, kernel):
    for length in (4096, 40000):
        fault = refused(vm, "PUT", "/boot-source", {"kernel_image_path": "/" + "x" * length})
        assert "kernel" in fault and "too long" in fault
        fault = refused(vm, "PUT", "/boot-source", {"kernel_image_path": kernel,
                                                    "initrd_path": "/" + "x" * length})
        assert "initrd" in fault and "too long" in fault


@pytest.mark.parametrize("field", ["kernel_image_path", "initrd_path", "boot_args"])
def test_a_nul_in_a_string(vm, kernel, field):
    """C would read the string up to there: the client must hear of it."""
    body = {"kernel_image_path": kernel, field: kernel + "\0x"}
    assert "NUL" in refused(vm, "PUT", "/boot-source", body)


def test_bad_bodies_do_not_disturb_a_guest(vm, kernel):
    vm.start(kernel)
    for text in NO_JSON.values():
        refused(vm, "PATCH", "/vm", text)
    assert vm.state() == RUNNING
