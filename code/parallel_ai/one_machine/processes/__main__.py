"""The first program: five workers report in."""

from parallel_ai.one_machine.processes.pools import five_workers

if __name__ == "__main__":
    for number, process in five_workers():
        print(f"worker {number} reports in from process {process}")
