"""Place many orders under one signature, and run a job on what was awarded."""

from swatow import Client, OrderRow

MODEL = "smollm2-135m-instruct-q4_1"

with Client() as client:
    rows = [OrderRow(model=MODEL, lots=5, max_price=f"0.{cents}") for cents in range(10, 30)]
    result = client.order_batch(rows, wait_s=30)
    print(f"{result.lots_awarded} of {result.lots} lots awarded")
    for award in result.awards[:1]:
        request = {"messages": [{"role": "user", "content": "Name a river."}], "max_tokens": 24}
        for piece in award.run(request):
            print(piece.text, end="", flush=True)
        print()
