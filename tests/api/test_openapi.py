# SPDX-License-Identifier: Apache-2.0
"""api/openapi.yaml is what is served: examples work in the states in which they should, answers
have the schemas that are promised, and the schemas allow what the program takes, no more and
no less. That every route is documented is tests/unit/test_routes.c's to show."""
import json
import re

import jsonschema
import pytest

from harness import NOT_STARTED, PAUSED, RUNNING, Http
from openapi import DOC, RESOLVER, operations, problems, refs, resolve, valid, variants

OPERATIONS = operations()
WITH_FIELDS = [o for o in OPERATIONS if o.schema and not o.absent]
START = ("/actions", "start")
ONCE = ("/actions", "/metrics")  # what is taken once is refused afterwards

# Strings that a schema cannot know the limits of: ids are those of the path, files exist.
NAMES = ("drive_id", "iface_id", "path_on_host", "kernel_image_path", "initrd_path",
         "host_dev_name", "log_path", "metrics_path", "serial_out_path")


@pytest.fixture
def real(kernel, tap, tmp):
    """real(body): with files and a tap that exist in place of those of the examples."""
    with open(f"{tmp}/image", "wb") as f:
        f.truncate(1 << 20)
    names = {"/srv/vmlinux": kernel, "/srv/initrd": kernel, "/srv/rootfs.img": f"{tmp}/image",
             **{f"/srv/{n}": f"{tmp}/{n}" for n in ("log", "metrics", "serial")}, "tap0": tap()}

    def replace(body):
        if not isinstance(body, dict):
            return body
        return {k: names.get(v, v) if isinstance(v, str) else v for k, v in body.items()}

    return replace


def check(operation, response):
    """The answer is one of those that are documented."""
    assert str(response.status) in operation.item["responses"], (str(operation), response)
    schema = operation.response_schema(response.status)
    if schema is None:
        assert response.body == b"" and "Content-Length" not in response.headers
        return
    assert problems(schema, response.json) == [], (str(operation), response)


def go_to(vm, state):
    """From a state to the same or a later one."""
    if state != vm.state():
        vm.set_state({RUNNING: "Resumed", PAUSED: "Paused"}[state])


def send_examples(vm, real, state):
    """All examples in one state, the one that starts the guest last."""
    todo = [(o, name, body, answers[state]) for o in OPERATIONS
            for name, body, answers in o.examples()]
    todo.sort(key=lambda t: (t[0].template, t[1]) == START)
    for operation, name, body, status in todo:
        go_to(vm, state)
        response = vm.request(operation.method, operation.path, real(body))
        assert response.status == status, (state, str(operation), name, response)
        check(operation, response)


def test_every_example_in_every_state(vm, real):
    for state in (NOT_STARTED, RUNNING, PAUSED):
        send_examples(vm, real, state)


def test_examples_are_as_their_schemas_say():
    for operation in WITH_FIELDS:
        for name, body, _ in operation.examples():
            assert problems(operation.schema, body) == [], (str(operation), name)


def configured(vm, real, started):
    """What the other operations need, by the examples."""
    for operation in OPERATIONS:
        for _, body, answers in operation.examples():
            if operation.method == "PUT" and not operation.absent and answers[NOT_STARTED] == 204 \
                    and operation.template != START[0]:
                assert vm.request("PUT", operation.path, real(body)).status == 204
    if started:
        assert vm.action("InstanceStart").status == 204


def depends_on_the_world(operation, example, body):
    """Whether a body that the schema allows may be refused all the same."""
    if operation.template in ONCE:
        return True
    return any(isinstance(body.get(n), str) and body[n] != example.get(n) for n in NAMES)


@pytest.mark.parametrize("operation", WITH_FIELDS, ids=str)
def test_schemas_allow_what_is_taken(vm, real, operation):
    _, example, answers = operation.examples()[0]
    state = NOT_STARTED if answers[NOT_STARTED] == 204 else RUNNING
    configured(vm, real, state == RUNNING)
    example = real(example)
    taken = refused = 0
    with Http(vm.sock_path) as http:
        for body in variants(operation.schema, example):
            if valid(operation.schema, body):
                if depends_on_the_world(operation, example, body):
                    continue
                taken += 1
                response = http.request(operation.method, operation.path, body)
                assert response.status == 204, (body, response)
            else:
                refused += 1
                response = http.request(operation.method, operation.path, body)
                assert response.fault, (body, response)
            check(operation, response)
    assert refused > 10 and (taken > 1 or operation.template in ONCE)


@pytest.mark.parametrize("operation", [o for o in WITH_FIELDS if o.template != "/metrics"], ids=str)
def test_schemas_have_the_fields_that_are_known(vm, operation):
    """The program names its fields when it is asked for one that it does not know."""
    fault = vm.request(operation.method, operation.path, {"zzz": 1}).fault
    names = set(re.findall(r"`(\w+)`", fault.partition("expected ")[2]))
    assert names == set(resolve(operation.schema)["properties"]) - {"direct"}


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.schema is None], ids=str)
def test_operations_without_a_body_take_none(vm, operation):
    check(operation, vm.request(operation.method, operation.path, "{}"))
    assert "body" in vm.request(operation.method, operation.path, "{}").fault or \
        operation.method == "DELETE"


def test_the_file_is_whole():
    for ref in refs(DOC):
        RESOLVER.resolve(ref)
    for schema in DOC["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    ids = [o.item["operationId"] for o in OPERATIONS]
    assert len(ids) == len(set(ids))
    tags = {t["name"] for t in DOC["tags"]}
    used = {r.rpartition("/")[2] for r in refs(DOC)}
    assert set(DOC["components"]["schemas"]) <= used
    for operation in OPERATIONS:
        assert set(operation.item["tags"]) <= tags
        assert {"400", "503"} <= set(operation.item["responses"]), str(operation)
        for _, _, answers in operation.examples():
            assert set(answers) == {NOT_STARTED, RUNNING, PAUSED}
            assert {str(s) for s in answers.values()} <= set(operation.item["responses"])


def test_answers_that_belong_to_no_path(vm):
    fault = DOC["components"]["responses"]["Fault"]["content"]["application/json"]["schema"]
    full = DOC["components"]["responses"]["TooMany"]["content"]["application/json"]["schema"]
    clients = [Http(vm.sock_path) for _ in range(10)]
    clients[0].send(b"no HTTP\r\n")
    assert problems(fault, clients[0].response().json) == []
    for c in clients:
        assert c.request("GET", "/").status == 200
    with Http(vm.sock_path) as eleventh:
        response = eleventh.response()
    assert response.status == 503 and problems(full, json.loads(response.body)) == []
    for c in clients:
        c.close()


def test_the_version_is_the_programs(vm):
    assert DOC["info"]["version"] == vm.get("/version").json["firecracker_version"]
