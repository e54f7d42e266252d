"""One answer, and what it cost."""

from swatow import Client

with Client() as client:
    answer = client.chat(
        model="smollm2-135m-instruct-q4_1",
        messages=[{"role": "user", "content": "What is the capital of France?"}],
        max_tokens=64,
    )
    print(answer.text)
    receipt = answer.receipt
    print(f"{receipt.prompt_tokens} tokens in, {receipt.output_tokens} out: {receipt.cost_text}")
    print(f"signed by node {receipt.node[:16]} and by this buyer: {receipt.countersigned}")
