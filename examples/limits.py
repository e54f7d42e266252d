"""Hard limits: an offer that does not state what is limited is not used, and you are told why."""

from swatow import Client, Limits
from swatow.errors import LimitsUnmet

messages = [{"role": "user", "content": "Say hello."}]

with Client(order_wait_s=2.0) as client:
    for limits in (Limits(jurisdictions=("cn",)), Limits(attestations=("sev-snp", "tdx"))):
        try:
            answer = client.chat(
                model="smollm2-135m-instruct-q4_1", messages=messages, max_tokens=8, limits=limits
            )
            print(f"served in {answer.receipt.zone}: {answer.text}")
        except LimitsUnmet as unmet:
            print(f"nobody meets: {', '.join(limit.value for limit in unmet.limits)}")
