"""What is owed on an award: token counts to standard tokens, vouchers due, and credit left.

Buyer and node each run one `AwardMeter` for an award, fed with what each has itself counted. All
amounts are cumulative over the jobs of the award, so that there is one rounding for each award:
thousandths of a standard token are kept, and the sum is rounded up when it is stated.

The bound that it keeps: a node never has more than `credit_window` unpaid output tokens under way
on an award, whatever the number of its jobs. One event of an engine that holds more tokens than
the window goes out alone, when nothing else is unpaid.
"""

from swatow_protocol.errors import FrameRefused
from swatow_protocol.messages import Award, Model, PaymentTerms, Usage
from swatow_protocol.units import (
    PARTS_PER_MILLION,
    STANDARD_TOKENS_PER_LOT,
    THOUSANDTHS,
    div_ceil,
    div_floor,
)

NO_USAGE = Usage()


def standard_thousandths(usage: Usage, model: Model) -> int:
    """Weigh token counts; return thousandths of a standard token.

    An output token weighs 1,000; prompt and cached prompt tokens weigh what the model says.
    """
    fresh = usage.prompt_tokens - usage.cached_tokens
    assert fresh >= 0, usage
    return (
        fresh * model.prompt_weight
        + usage.cached_tokens * model.cached_weight
        + usage.output_tokens * THOUSANDTHS
    )


def check_usage(usage: Usage) -> None:
    """Insist that counts of somebody else do not contradict themselves.

    Raises:
        FrameRefused: a part is larger than its whole.
    """
    if usage.cached_tokens > usage.prompt_tokens or usage.reasoning_tokens > usage.output_tokens:
        raise FrameRefused(f"counts that contradict themselves: {usage}")


def standard_tokens(usage: Usage, model: Model) -> int:
    """Return the standard tokens of these counts, rounded up to a whole one."""
    return div_ceil(standard_thousandths(usage, model), THOUSANDTHS)


def share_tokens(award: Award, contested_us: int | None = None) -> int:
    """Return the standard tokens that are paid for even if they are not used, rounded up.

    An award that its buyer contests at `contested_us` owes its share for the part of its life that
    had passed by then.
    """
    share = award.take_or_pay_ppm * award.lots * STANDARD_TOKENS_PER_LOT
    if contested_us is None:
        return div_ceil(share, PARTS_PER_MILLION)
    life_us = award.expires_us - award.from_us
    passed_us = max(0, min(contested_us - award.from_us, life_us))
    return div_ceil(share * passed_us, PARTS_PER_MILLION * life_us)


def add_usage(left: Usage, right: Usage) -> Usage:
    """Return left + right, field by field."""
    return Usage(**{name: getattr(left, name) + getattr(right, name) for name in _COUNTS})


def subtract_usage(left: Usage, right: Usage) -> Usage:
    """Return left - right, field by field; right must nowhere be larger."""
    return Usage(**{name: getattr(left, name) - getattr(right, name) for name in _COUNTS})


class AwardMeter:
    """One side's count of what is owed on one award."""

    __slots__ = ("model", "payment", "signed", "signed_usage", "total", "usage")

    usage: Usage
    """Counted by this side, over all jobs of the award."""
    signed: int
    """Standard tokens of the highest voucher."""
    signed_usage: Usage
    """Token counts of the highest voucher."""
    total: int
    """Standard tokens that the award holds."""
    payment: PaymentTerms

    def __init__(self, *, model: Model, payment: PaymentTerms, lots: int) -> None:
        """Start counting on a fresh award of `lots`."""
        self.model: Model = model
        self.payment = payment
        self.total = lots * STANDARD_TOKENS_PER_LOT
        self.usage = self.signed_usage = NO_USAGE
        self.signed = 0

    @property
    def owed(self) -> int:
        """Standard tokens owed by this side's count; never more than the award holds."""
        return self.owed_for(self.usage)

    @property
    def unpaid_output(self) -> int:
        """Output tokens counted and not yet signed for."""
        return self.usage.output_tokens - self.signed_usage.output_tokens

    def output_left(self, coming: Usage = NO_USAGE) -> int:
        """Return for how many output tokens the award still has room, after what is `coming`."""
        counted = add_usage(self.usage, coming)
        left = self.total * THOUSANDTHS - standard_thousandths(counted, self.model)
        return max(0, div_floor(left, THOUSANDTHS))

    @property
    def voucher_due(self) -> bool:
        """Whether the buyer has received a whole interval since it last signed."""
        return self.unpaid_output >= self.payment.voucher_interval and self.owed > self.signed

    def owed_for(self, usage: Usage) -> int:
        """Return what a cumulative usage of this award comes to, in standard tokens."""
        return min(standard_tokens(usage, self.model), self.total)

    def allows(self, tokens: int) -> bool:
        """Tell whether `tokens` more output fit into the credit window."""
        return self.unpaid_output + tokens <= self.payment.credit_window

    def add(self, usage: Usage) -> None:
        """Count more tokens."""
        self.usage = add_usage(self.usage, usage)

    def take_back(self, usage: Usage) -> None:
        """Uncount tokens that turned out not to be: the engine's last word was lower."""
        self.usage = subtract_usage(self.usage, usage)

    def record_voucher(self, standard_tokens: int, usage: Usage) -> bool:
        """Note a voucher; return whether it is higher than the last.

        A voucher above this side's own count is the buyer's word that it received more than is on
        record here, as after a crash of the node: the count follows it, never downwards. A prompt
        that this side counted as fresh stays so, whatever the buyer calls it.
        """
        if standard_tokens <= self.signed:
            return False
        self.signed, self.signed_usage = standard_tokens, usage
        fresh = self.usage.prompt_tokens - self.usage.cached_tokens
        prompt = max(self.usage.prompt_tokens, usage.prompt_tokens)
        self.usage = Usage(
            prompt_tokens=prompt,
            cached_tokens=min(max(self.usage.cached_tokens, usage.cached_tokens), prompt - fresh),
            output_tokens=max(self.usage.output_tokens, usage.output_tokens),
            reasoning_tokens=max(self.usage.reasoning_tokens, usage.reasoning_tokens),
        )
        return True

    def write_off(self) -> int:
        """Node: forget unpaid work that was lost with its stream; return its output tokens."""
        lost = max(0, self.unpaid_output)
        self.usage = self.signed_usage
        return lost


class JobMeter:
    """One side's count of one job, kept in step with its award's meter.

    The prompt counts from the first chunk that holds a token, so a job that fails before it gives
    anything costs nothing. Both sides run this class on the same frames, and so agree.
    """

    __slots__ = ("_award", "_prompt", "usage")

    usage: Usage
    """Counted for this job."""

    def __init__(self, award: AwardMeter, prompt: Usage = NO_USAGE) -> None:
        """Start a job whose prompt is `prompt`; nothing where the engine tells only at the end."""
        self._award = award
        self._prompt = prompt
        self.usage = NO_USAGE

    @property
    def output_left(self) -> int:
        """Output tokens for which the award has room, once this job's prompt is counted."""
        return self._award.output_left(self._prompt)

    def chunk(self, tokens: int) -> None:
        """Count a chunk of `tokens` output tokens."""
        if tokens:
            self.count_prompt()
            self._add(Usage(output_tokens=tokens))

    def close(self, final: Usage) -> None:
        """Settle on the final counts of the job, which may be higher or lower than what was
        counted on the way."""
        self._award.take_back(self.usage)
        self.usage = self._prompt = NO_USAGE
        self._add(final)

    def count_prompt(self) -> None:
        """Count the prompt now, if it was not counted yet."""
        self._add(self._prompt)
        self._prompt = NO_USAGE

    def _add(self, usage: Usage) -> None:
        self.usage = add_usage(self.usage, usage)
        self._award.add(usage)


_COUNTS = Usage.__struct_fields__
