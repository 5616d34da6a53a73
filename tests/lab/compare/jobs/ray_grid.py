"""A grid on a Ray cluster of two nodes; the process at work on its first cell is killed once.

Started by the test in a process of its own: Ray leaves threads and signal handlers behind.
"""

import os
import re
import signal
import sys
import threading
import time

from ray.cluster_utils import Cluster

from spikeprune.lab.compare import CompareConfig, compare, jobs, load_cells

BASE = {
    "data": "digits",
    "limit": 200,
    "batch_size": 40,
    "threads": 1,
    "time_steps": 2,
    "model": "vgg-small",
    "model_args": {"widths": [4, 8], "strides": [2, 1]},
    "every": 20,
    "epochs": {"prune": 16, "finetune": 1, "dense": 2},
    "optimizer": {"name": "adamw", "lr": 0.02},
}


def kill_once(log):
    while not (log.is_file() and re.search(r"prune +epoch 2/", log.read_text())):
        time.sleep(0.01)
    os.kill(int(re.search(r"process (\d+)", log.read_text())[1]), signal.SIGKILL)


def main(folder):
    node = {"num_cpus": 1, "object_store_memory": 80 << 20}
    cluster = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": False})
    cluster.add_node(**node)
    machine = {"engine": "ray", "ray_address": cluster.address, "jobs": 2, "retries": 1}
    config = CompareConfig.from_dict(
        {"base": BASE, "methods": ["magnitude"], "sparsities": [0.6], "seeds": [0, 1]}
        | {"out": folder, "machine": machine}
    )
    log = config.folder.log(jobs(config)[0].name)
    killer = threading.Thread(target=kill_once, args=(log,), daemon=True)
    killer.start()
    compare(config)
    killer.join(1)
    assert not killer.is_alive(), "the cell was finished before it could be killed"
    text = log.read_text()
    assert len(set(re.findall(r"process (\d+)", text))) == 2, text
    assert text.count("prune      epoch 1/17") == 1, text  # it went on from its last epoch
    assert [cell.seed for cell in load_cells(folder)] == [0, 1]
    cluster.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
