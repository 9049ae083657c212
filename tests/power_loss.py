#!/usr/bin/env python3
"""Loss of power, provoked: what would be on the disk if the power went at any moment of a push, and is it enough?

Runs a push under strace and replays its writes. A write counts as on the disk once a later fsync of its file has returned; of those
before that, each 512-byte sector has reached the disk or not, as chance has it. For cuts throughout the push the database is put
together in that way, opened, and held to the promise: it is whole, and no device had been sent its command without a claim that says so.

    python3 tests/power_loss.py target/debug/fleetpush [--cuts 500] [--seed 1]

Needs strace and a Linux that lets it trace. Not a part of `cargo test`.
"""

import argparse
import os
import random
import re
import sqlite3
import subprocess
import sys
import tempfile

SECTOR = 512
CALLS = "write,pwrite64,lseek,fsync,fdatasync,ftruncate,unlink,sendto,sendmsg,writev"
LINE = re.compile(r"^(\d+) (?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)$")
FILE = re.compile(r"^(\d+)<([^>]*)>")
TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


def text(rest):
    return b"".join(bytes.fromhex(part.replace("\\x", "")) for part in TEXT.findall(rest))


def events(trace, database):
    """The push as ('write', name, offset, bytes), ('sync', name), ('cut', name, length), ('gone', name) and ('post', bytes)."""
    ours = {database: "db", database + "-wal": "wal", database + "-journal": "journal"}
    position = {}
    begun = {}
    for line in trace:
        found = LINE.match(line)
        if not found:
            continue
        thread, resumed, call, rest = found.groups()
        if resumed:
            call, head = resumed, begun.pop(thread, "")
        else:
            head = rest
            if "<unfinished ...>" in rest:
                begun[thread] = rest
                # What is written may reach the disk, and what is sent the platform, before the call returns.
                if call in ("fsync", "fdatasync", "lseek"):
                    continue
            elif re.search(r"= -1 ", rest):
                continue
        if call == "unlink":
            name = ours.get(text(head).decode())
            if name and not resumed:
                yield ("gone", name)
            continue
        handle = FILE.match(head)
        if not handle:
            continue
        path = handle.group(2)
        if call in ("sendto", "sendmsg", "writev", "write") and path.startswith("TCP"):
            if not resumed:
                yield ("post", text(head))
            continue
        name = ours.get(path)
        if name is None:
            continue
        key = (path, handle.group(1))
        if call == "lseek":
            position[key] = int(re.search(r", (\d+), SEEK_SET", head).group(1))
        elif call == "write" and not resumed:
            data = text(head)
            at = position.get(key, 0)
            position[key] = at + len(data)
            yield ("write", name, at, data)
        elif call == "pwrite64" and not resumed:
            data = text(head)
            yield ("write", name, int(re.search(r'", \d+, (\d+)', head).group(1)), data)
        elif call == "ftruncate" and not resumed:
            yield ("cut", name, int(re.search(r", (\d+)", head).group(1)))
        elif call in ("fsync", "fdatasync"):
            yield ("sync", name)


def apply(content, event, keep):
    if event[0] == "cut":
        if keep():
            del content[event[2]:]
        return
    _, _, offset, data = event
    for start in range(0, len(data), SECTOR):
        if keep():
            sector = data[start:start + SECTOR]
            end = offset + start + len(sector)
            if len(content) < end:
                content.extend(bytes(end - len(content)))
            content[offset + start:end] = sector


def check(folder, files, posted, rows):
    path = os.path.join(folder, "cut.db")
    for name, suffix in (("db", ""), ("wal", "-wal"), ("journal", "-journal")):
        target = path + suffix
        if name in files:
            with open(target, "wb") as out:
                out.write(files[name])
        elif os.path.exists(target):
            os.remove(target)
    if os.path.exists(path + "-shm"):
        os.remove(path + "-shm")
    connection = sqlite3.connect(path)
    try:
        verdict = connection.execute("PRAGMA integrity_check").fetchone()[0]
        if verdict != "ok":
            return f"the database is not whole: {verdict}"
        if not posted:
            return None
        known = dict(connection.execute("SELECT device_key, state <> 'pending' OR attempts > 0 FROM results"))
        if len(known) != rows:
            return f"{len(known)} of {rows} tasks are there"
        missing = sorted(device for device in posted if not known.get(device))
        return f"{len(missing)} devices were sent and not claimed, such as {missing[0]}" if missing else None
    except sqlite3.Error as error:
        return str(error)
    finally:
        connection.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--cuts", type=int, default=500)
    parser.add_argument("--devices", type=int, default=400)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    args = parser.parse_args()
    binary = os.path.abspath(args.binary)
    chance = random.Random(args.seed)
    print(f"seed {args.seed}")
    with tempfile.TemporaryDirectory() as folder:
        folder = os.path.realpath(folder)
        manifest, database, trace = (os.path.join(folder, name) for name in ("fleet.csv", "push.db", "trace"))
        with open(manifest, "w") as out:
            out.write("device_key,product_key,service,param.raw1\n")
            out.writelines(f"DK{n:05},PK0001,fuwu,AA\n" for n in range(args.devices))
        simulator = subprocess.Popen([binary, "simulator", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
        try:
            address = re.search(r"http://\S+", simulator.stdout.readline()).group(0)
            environment = dict(os.environ, FLEETPUSH_ACCESS_KEY="key", FLEETPUSH_ACCESS_SECRET="secret", HOME=folder)
            push = [binary, "run", manifest, "--db", database, "--base-url", address, "--rate", "unlimited",
                    "--chunk-size", "4", "--progress", "none", "-q"]
            subprocess.run(["strace", "-f", "-yy", "-xx", "-s", "1000000", "-e", f"trace={CALLS}", "-o", trace, *push],
                           env=environment, check=True)
        finally:
            simulator.kill()
        with open(trace, errors="replace") as lines:
            # strace writes paths of files as hexadecimal text too.
            unhex = re.compile(r"<((?:\\x[0-9a-f]{2})+)>")
            played = list(events((unhex.sub(lambda m: "<" + text('"' + m.group(1) + '"').decode() + ">", line) for line in lines), database))
        posts = [n for n, event in enumerate(played) if event[0] == "post" and b"sendServiceData" in event[1]]
        syncs = sum(event[0] == "sync" for event in played)
        print(f"{len(posts)} requests, {syncs} syncs, {sum(event[0] == 'write' for event in played)} writes")
        # Half of the cuts at the worst moment: when a request has just gone out.
        cuts = sorted(chance.choice(posts) + 1 if chance.random() < 0.5 else chance.randrange(len(played)) for _ in range(args.cuts))
        safe, pending, posted, bad, at = {}, {}, set(), 0, 0
        for cut in cuts:
            while at < cut:
                event = played[at]
                at += 1
                if event[0] == "post":
                    posted.update(key.decode() for key in re.findall(rb"DK\d{5}", event[1]))
                elif event[0] == "sync":
                    for earlier in pending.pop(event[1], []):
                        apply(safe.setdefault(event[1], bytearray()), earlier, lambda: True)
                    safe.setdefault(event[1], bytearray())
                elif event[0] == "gone":
                    safe.pop(event[1], None)
                    pending.pop(event[1], None)
                else:
                    pending.setdefault(event[1], []).append(event)
            files = {name: bytearray(content) for name, content in safe.items()}
            for name, waiting in pending.items():
                for event in waiting:
                    apply(files.setdefault(name, bytearray()), event, lambda: chance.random() < 0.5)
            if not files.get("db"):
                continue
            wrong = check(folder, files, posted, args.devices)
            if wrong:
                bad += 1
                print(f"cut {cut} of {len(played)}: {wrong}")
        print(f"{len(cuts)} cuts, {bad} broken")
        sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
