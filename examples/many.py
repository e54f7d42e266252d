"""Many answers at once: all of them share one award and one connection to the node."""

import asyncio

from swatow import AsyncClient

QUESTIONS = [f"What is {number} plus {number}?" for number in range(1, 7)]


async def main() -> None:
    """Ask everything at once."""
    async with AsyncClient(order_lots=20) as client:
        answers = await asyncio.gather(
            *(
                client.chat(
                    model="smollm2-135m-instruct-q4_1",
                    messages=[{"role": "user", "content": question}],
                    max_tokens=24,
                )
                for question in QUESTIONS
            )
        )
    for question, answer in zip(QUESTIONS, answers, strict=True):
        print(f"{question} {answer.text.strip()!r}")
    awards = {answer.receipt.award for answer in answers}
    print(f"{sum(answer.receipt.cost for answer in answers)} nanos on {len(awards)} award(s)")


asyncio.run(main())
