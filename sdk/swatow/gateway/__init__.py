"""The SDK as an OpenAI server: any OpenAI client, one URL changed, is on the exchange."""
