"""Mutants of the command line, the errors and the notebook tools."""

from tests.mutants import Mutant

CLI, TOOLS = "tests/unit/test_packaging.py", "tests/notebooks/test_tools.py"

MUTANTS = [
    Mutant(
        "the lab listens on every address",
        "kit/cli.py",
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.ip=0.0.0.0",
        (f"{CLI}::test_opens_the_first_notebook_on_this_machine_only",),
    ),
    Mutant(
        "a named port that is taken is moved in silence",
        "kit/cli.py",
        "expect_free(port)\n",
        "pass\n",
        (f"{CLI}::test_a_taken_port_is_named",),
    ),
    Mutant(
        "widget state stays in saved notebooks",
        "kit/notebook_tools.py",
        'notebook.metadata = {"kernelspec": KERNELSPEC, "language_info": LANGUAGE}',
        'notebook.metadata.update({"kernelspec": KERNELSPEC, "language_info": LANGUAGE})',
        (f"{TOOLS}::test_a_saved_run_holds_results_and_nothing_of_the_machine",),
    ),
    Mutant(
        "a path of the machine is saved",
        "kit/notebook_tools.py",
        "        if found:\n",
        "        if not found:\n",
        (f"{TOOLS}::test_a_path_of_this_machine_is_refused",),
    ),
]
