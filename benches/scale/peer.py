"""Pushes a manifest with asyncio and aiohttp, and keeps what became of every device in SQLite: what one writes in an afternoon.

A reply is on the disk before its place is given to the next request, since a ticket that is lost is a command sent twice. A device that
has a row is not sent to again, so that a script that died can be started anew.

usage: peer.py BASE_URL TOKEN MANIFEST DATABASE CHUNK_SIZE CONCURRENCY
"""

import asyncio
import csv
import json
import sqlite3
import sys
from collections import defaultdict

import aiohttp


def open_database(path):
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute(
        "CREATE TABLE IF NOT EXISTS results (device_key TEXT PRIMARY KEY, state TEXT NOT NULL, code INTEGER, ticket TEXT, error TEXT)"
    )
    return database


def read_chunks(manifest, done, size):
    """The devices that are still to be sent to, in chunks with the same product and data."""
    groups = defaultdict(list)
    with open(manifest, newline="") as file:
        for row in csv.DictReader(file):
            if row["device_key"] in done:
                continue
            params = [
                {name.removeprefix("param."): value}
                for name, value in row.items()
                if name.startswith("param.") and value
            ]
            data = json.dumps([{row["service"]: params}])
            groups[row["product_key"], data].append(row["device_key"])
    for (product_key, data), devices in groups.items():
        for start in range(0, len(devices), size):
            yield product_key, data, devices[start : start + size]


async def send(session, url, product_key, data, devices):
    """Sends one request; returns a row for each of its devices."""
    body = {"productKey": product_key, "devices": devices, "data": data}
    try:
        async with session.post(url, json=body) as reply:
            reply.raise_for_status()
            told = await reply.json()
    except (aiohttp.ClientError, asyncio.TimeoutError) as error:
        return [(device, "in_doubt", None, None, str(error)) for device in devices]
    if told["code"] != 200:
        return [(device, "failed", told["code"], None, told.get("msg")) for device in devices]
    rows = []
    for element in told["data"]:
        state = "accepted" if element["code"] == 200 else "failed"
        error = None if state == "accepted" else element.get("message")
        rows.append((element["deviceKey"], state, element["code"], element.get("ticket"), error))
    return rows


async def main(base_url, token, manifest, database, chunk_size, concurrency):
    database = open_database(database)
    done = {key for (key,) in database.execute("SELECT device_key FROM results WHERE state = 'accepted'")}
    url = f"{base_url}/v2/deviceshadow/r3/openapi/dm/sendServiceData?language=EN"
    slots = asyncio.Semaphore(int(concurrency))
    async with aiohttp.ClientSession(headers={"Authorization": token}) as session:

        async def push(chunk):
            async with slots:
                rows = await send(session, url, *chunk)
                with database:
                    database.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?)", rows)

        await asyncio.gather(*(push(chunk) for chunk in read_chunks(manifest, done, int(chunk_size))))
    for state, devices in database.execute("SELECT state, count(*) FROM results GROUP BY state"):
        print(state, devices)
    database.close()


asyncio.run(main(*sys.argv[1:]))
