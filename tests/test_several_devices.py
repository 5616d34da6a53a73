"""The loop of docs/several-devices.md runs as it stands, in two processes."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "several-devices.md"

PREFIX = """
import datetime, json, torch, torch.distributed as dist
torch.set_num_threads(1)
dist.init_process_group(
    "gloo",
    init_method=f"file://{FOLDER}/meeting",
    rank=RANK,
    world_size=WORLD,
    timeout=datetime.timedelta(seconds=30),
)
"""
SUFFIX = """
result = {
    "masks": {name: mask.flatten().tolist() for name, mask in pruner.mask.items()},
    "weights": {name: p.flatten().tolist() for name, p in small.named_parameters()},
    "density": pruner.density,
    "events": len(pruner.events),
}
(FOLDER / f"result{RANK}.json").write_text(json.dumps(result))
dist.destroy_process_group()
"""


def test_the_loop_of_the_page_runs_and_prunes_alike(run_ranks, tmp_path):
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    script = tmp_path / "loop.py"
    script.write_text(PREFIX + code + SUFFIX)
    codes, (first, second) = run_ranks(script, 2)
    assert codes == [0, 0]
    assert first == second
    assert first["events"] > 1
    assert 0.19 < first["density"] < 0.21
