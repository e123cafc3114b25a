import json

BROKEN = """
[stream]
transport = "embedded"
[store]
uri = "memory://templates"
"""


def test_a_well_installation_is_told_line_by_line(run):
    end = run("doctor")

    assert end.code == 0
    assert end.out.splitlines()[-1] == "all is well"
    assert all(line.startswith("ok ") for line in end.out.splitlines()[:-1])


def test_a_problem_is_told_with_its_fix(run, config):
    end = run("doctor", "-c", config(BROKEN))

    assert end.code == 1
    problem, fix = (line.split(maxsplit=1) for line in end.out.splitlines()[-3:-1])
    assert problem[0] == "problem"
    assert "every image is refused" in problem[1]
    assert fix[0] == "fix:"
    assert end.out.splitlines()[-1] == "1 problem"


def test_a_program_gets_json(run, config):
    end = run("doctor", "-c", config(BROKEN), "--json")

    found = json.loads(end.out)
    assert end.code == 1
    assert found["ok"] is False
    [problem] = [check for check in found["checks"] if not check["ok"]]
    assert problem["check"] == "images"
    assert problem["fix"]
