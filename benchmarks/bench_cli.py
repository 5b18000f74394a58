"""Speed and memory of `okf analyze`: a CSV of a million lines to Parquet, with and without near-duplicates.

    python benchmarks/bench_cli.py [--rows 1000000] [--data DIR]

Keywords are real queries and their variants where DIR has them, else seeded combinations of our own words.
Memory is what all processes of the command hold together (PSS, looked at four times a second).
"""

import argparse
import csv
import gzip
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from figure import Figure, report

# As installed programs are: modules compiled once, not at every start.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
OKF = [sys.executable, "-c", "from omnikeywords.cli import main; main()"]

# What shops of many kinds are asked for, in three languages.
_THINGS = (
    "running shoes;hiking boots;office chair;standing desk;coffee grinder;espresso machine;road bike;"
    "electric bike;"
    "winter tyres;car battery;dog food;cat litter;baby stroller;car seat;yoga mat;air fryer;"
    "robot vacuum;gaming laptop;"
    "wireless earbuds;phone case;power bank;garden hose;lawn mower;solar panel;heat pump;sofa bed;"
    "memory foam mattress;"
    "ténis de corrida;botas de montanha;cadeira de escritório;máquina de café;bicicleta elétrica;"
    "pneus de inverno;ração para "
    "cães;areia para gatos;carrinho de bebé;cadeira auto;tapete de ioga;fritadeira de ar;"
    "aspirador robô;portátil gaming;"
    "auriculares sem fios;capa de telemóvel;mangueira de jardim;corta-relva;painel solar;"
    "bomba de calor;sofá-cama;"
    "zapatillas running;botas de montaña;silla de oficina;cafetera;bicicleta eléctrica;"
    "neumáticos de invierno;pienso para "
    "perros;arena para gatos;carrito de bebé;silla de coche;esterilla de yoga;freidora de aire;"
    "robot aspirador;portátil gaming;"
    "auriculares inalámbricos;funda de móvil;manguera de jardín;cortacésped;placa solar;"
    "bomba de calor;sofá cama;colchón"
).split(";")
_BEFORE = (
    ";;;;best;cheap;buy;how to choose;how to clean;what is a;used;second hand;melhor;comprar;"
    "como escolher;como limpar;barato;"
    "mejor;comprar;cómo elegir;cómo limpiar;barato;small;large;black;white;preto;branco;negro;blanco;"
    "professional;vintage"
).split(";")
_AFTER = (
    ";;;;near me;review;for women;for men;for beginners;2025;2026;price;sale;vs;online;uk;"
    "perto de mim;preço;para mulher;"
    "para homem;para iniciantes;opiniões;promoção;portugal;lisboa;porto;cerca de mí;precio;"
    "para mujer;para hombre;opiniones;"
    "oferta;madrid;barcelona;with warranty;without cable;xl;size 42;under 100;set of 2;waterproof;lightweight"
).split(";")


def made_up(count: int) -> Iterator[str]:
    """Seeded keywords: most of two to five words, some repeated with another case, number or order."""
    dice = random.Random(20_261)
    for number in range(count):
        words = [dice.choice(_BEFORE), dice.choice(_THINGS), dice.choice(_AFTER), dice.choice(_AFTER)]
        if dice.random() < 0.3:
            words.append(f"{dice.choice('abcdefgh')}{number % 7919}")
        keyword = " ".join(word for word in words if word)
        yield keyword.title() if dice.random() < 0.02 else keyword


def queries(data: Path | None, count: int) -> Iterator[str]:
    """The keywords of the million-keyword corpus, then made-up ones."""
    path = data / "queries" / "derived_1_17M_keywords.tsv.gz" if data else None
    if path is None or not path.exists():
        yield from made_up(count)
        return
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        next(lines)
        for number, line in enumerate(lines):
            if number == count:
                return
            yield line.split("\t", 1)[0]


def write_corpus(path: Path, keywords: Iterator[str]) -> None:
    """An export as research tools give them."""
    dice = random.Random(7)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["Keyword", "Volume", "Keyword Difficulty", "CPC (USD)", "Position"])
        for keyword in keywords:
            volume = int(10 ** dice.uniform(0, 5))
            difficulty = "" if dice.random() < 0.3 else dice.randint(0, 100)
            rows.writerow([keyword, volume, difficulty, f"{dice.random() * 4:.2f}", dice.randint(1, 100)])


class Memory(threading.Thread):
    """The most that a process and those it started held together, in bytes."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid = pid
        self.most = 0
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.25):
            self.most = max(self.most, sum(_held(pid) for pid in _family(self.pid)))


def _family(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        try:
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        except OSError:
            continue
    return found


def _held(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def measure(arguments: Sequence[str]) -> tuple[float, float, float]:
    """Seconds, seconds of processor time, and gigabytes of one command and its workers."""
    begun = time.perf_counter()
    process = subprocess.Popen([*OKF, *arguments], env=ENVIRONMENT)
    memory = Memory(process.pid)
    memory.start()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = code = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - begun
    memory.done.set()
    memory.join()
    if code:
        raise SystemExit(f"okf {' '.join(arguments)} failed with exit code {code}")
    return seconds, used.ru_utime + used.ru_stime, memory.most / 1e9


def help_seconds() -> float:
    """Time of `okf --help`, the best of five."""
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        subprocess.run([*OKF, "--help"], check=True, capture_output=True, env=ENVIRONMENT)
        times.append(time.perf_counter() - begun)
    return min(times)


def main() -> int:
    parser = argparse.ArgumentParser(description="Speed and memory of okf analyze.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--data", type=Path, default=os.environ.get("OKF_EVAL_DATA"))
    parser.add_argument("--only", choices=["help", "plain", "duplicates"])
    arguments = parser.parse_args()
    subprocess.run([*OKF, "warm"], check=True, env=ENVIRONMENT)
    share = arguments.rows / 1_000_000
    figures = []
    if arguments.only in (None, "help"):
        figures.append(Figure("okf --help", help_seconds(), at_most=0.4, unit="s"))
    with tempfile.TemporaryDirectory() as folder:
        corpus, out = Path(folder) / "corpus.csv", Path(folder) / "out.parquet"
        if arguments.only != "help":
            write_corpus(corpus, queries(Path(arguments.data) if arguments.data else None, arguments.rows))
        runs = {
            "plain": (["--no-duplicates"], "without near-duplicates", 12),
            "duplicates": ([], "with near-duplicates", 22),
        }
        for name, (options, words, most) in runs.items():
            if arguments.only not in (None, name):
                continue
            seconds, processor, gigabytes = measure(["analyze", str(corpus), "-o", str(out), "-q", *options])
            title = f"okf analyze of {arguments.rows:,} lines CSV to Parquet, {words}"
            figures += [
                Figure(title, seconds, at_most=most * share if share >= 1 else None, unit="s"),
                Figure(f"{title}: rate", arguments.rows / seconds, unit="keywords/s"),
                Figure(f"{title}: processor time", processor, unit="s", note="less moved by what else runs"),
                Figure(
                    f"{title}: memory of all processes",
                    gigabytes,
                    at_most=1.5 if share == 1 else None,
                    unit="GB",
                ),
            ]
    return 0 if report("cli", figures) else 1


if __name__ == "__main__":
    sys.exit(main())
