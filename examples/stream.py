"""An answer as it comes, stopped half way: the engine stops, and only what was made is paid."""

from swatow import Client

with Client() as client:
    stream = client.chat(
        model="smollm2-135m-instruct-q4_1",
        messages=[{"role": "user", "content": "Count from one to a hundred, in words."}],
        max_tokens=200,
        stream=True,
    )
    words = 0
    for piece in stream:
        print(piece.text, end="", flush=True)
        words += bool(piece.text)
        if words == 20:
            break
    print("...")
    stream.close()
    if stream.receipt is not None:
        print(f"paid for {stream.receipt.output_tokens} tokens: {stream.receipt.cost_text}")
