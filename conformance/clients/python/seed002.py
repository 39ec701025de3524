"""The Python program of the connection page, unmodified, with requests, web3 and eth-account.

Its third part, the refresh, is run three times: the page tells its readers to repeat it every hour.
"""

import os

from seed_program import between, read_seed, substitute
from steps import ADDRESS, CHAIN_ID, PRIVATE_KEY, REST, step

PART_3 = "# STEP 3. Refresh the access token before it expires. #"


class Flow:
    def __init__(self):
        self.printed = []
        self.names = {"print": lambda *words: self.printed.append(" ".join(str(word) for word in words))}

    def run(self, program):
        before = len(self.printed)
        exec(compile(program, "seed002", "exec"), self.names)
        return self.printed[before:]

    def login(self):
        page = read_seed("002")
        program = substitute(
            between(page, "import os\nfrom eth_account", "Repository: python-ethgas"),
            {
                "ADD_YOUR_ETHEREUM_account_ADDRESS_HERE": ADDRESS,
                "ADD_YOUR_PRIVATE_KEY_HERE": PRIVATE_KEY,
                "ADD_THE_CHAIN_ID_HERE": str(CHAIN_ID),
            },
        )
        # The program asks for its address in this variable.
        os.environ["ETHGAS_API_URL"] = f"{REST}/api"
        first, self.refresh_part = program.split(PART_3)
        self.lines = self.run(first)
        assert "Login successful? True" in self.lines, self.lines
        self.token = self.names["access_token"]

    def private_call(self):
        self.check_accounts(self.lines)

    def check_accounts(self, lines):
        at = next(i for i, line in enumerate(lines) if line.startswith("Here is your list"))
        assert '"accountId"' in lines[at + 1], lines[at + 1]

    def refresh(self):
        lines = self.run(self.refresh_part)
        assert self.names["access_token"] != self.token, "the same access token again"
        self.token = self.names["access_token"]
        self.check_accounts(lines)


flow = Flow()
step("login", flow.login)
step("private_call", flow.private_call)
for round in (1, 2, 3):
    step(f"refresh_{round}", flow.refresh)
