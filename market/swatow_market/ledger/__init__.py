"""The ledger: accounts, holds and transfers in SQL, and the schema of everything a market keeps."""
