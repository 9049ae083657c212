"""Pushes commands with asyncio and aiohttp: each device's in their order, and what is refused again after an exponential backoff.

usage: backoff.py BASE_URL TOKEN CONCURRENCY DEVICES PAYLOADS
"""

import asyncio
import json
import random
import sys

import aiohttp

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0


async def send(session, slots, url, device, payload):
    """Sends one command until it is accepted."""
    body = {
        "productKey": "PK0001",
        "devices": [device],
        "data": json.dumps([{"fuwu": [{"raw1": f"{payload:02}"}]}]),
    }
    pause = FIRST_PAUSE
    while True:
        async with slots, session.post(url, json=body) as reply:
            if reply.status == 200:
                told = await reply.json()
                if told["code"] == 200 and told["data"][0]["code"] == 200:
                    return
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(2 * pause, LONGEST_PAUSE)


async def main(base_url, token, concurrency, devices, payloads):
    url = f"{base_url}/v2/deviceshadow/r3/openapi/dm/sendServiceData?language=EN"
    slots = asyncio.Semaphore(int(concurrency))
    async with aiohttp.ClientSession(headers={"Authorization": token}) as session:

        async def push(device):
            for payload in range(1, int(payloads) + 1):
                await send(session, slots, url, device, payload)

        await asyncio.gather(*(push(f"DK{n:05}") for n in range(1, int(devices) + 1)))


asyncio.run(main(*sys.argv[1:]))
