"""Buy lots first, then run several jobs on them; what is left over is given back."""

from swatow import Client

with Client() as client:
    for award in client.order(model="smollm2-135m-instruct-q4_1", lots=5):
        details = award.details
        print(f"{details.lots} lots in {details.zone}, {details.standard_tokens_left} tokens")
        for question in ("Name a river.", "Name a mountain."):
            request = {
                "messages": [{"role": "user", "content": question}],
                "max_tokens": 24,
            }
            for piece in award.run(request):
                print(piece.text, end="", flush=True)
            print()
        print(f"{details.standard_tokens_left} tokens left")
        award.release()
