"""The unchanged `openai` package on the exchange: OPENAI_BASE_URL and OPENAI_API_KEY say where.

swatow gateway --max-price 0.20      prints the base URL; the key is in its wallet's directory
"""

import openai

with openai.OpenAI() as client:
    stream = client.chat.completions.create(
        model="smollm2-135m-instruct-q4_1",
        messages=[{"role": "user", "content": "What is the capital of France?"}],
        max_tokens=64,
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"swatow": {"max_price": "0.20", "jurisdictions": ["cn"]}},
    )
    for event in stream:
        if event.choices:
            print(event.choices[0].delta.content or "", end="", flush=True)
        elif event.usage is not None and event.usage.model_extra is not None:
            print(f"\n{event.usage.total_tokens} tokens, cost {event.usage.model_extra['cost']}")
