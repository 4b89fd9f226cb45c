"""How do I get a refresh token for Dropbox?

Make an app on https://www.dropbox.com/developers/apps, then run this with its key. It shows an address, at which
you allow the app to use your account, and takes the code that you are shown there. Without a key it only shows how.
"""

from __future__ import annotations

import sys

from dropbox import DropboxOAuth2FlowNoRedirect


def main() -> None:
    key = sys.argv[1] if len(sys.argv) > 1 else "the-key-of-your-app"
    # "offline" is what makes it a token that lasts; with PKCE the secret of the app is not needed.
    flow = DropboxOAuth2FlowNoRedirect(key, use_pkce=True, token_access_type="offline")
    print("Open this address, allow the app, and copy the code:")
    print(flow.start())
    if len(sys.argv) > 1:
        token = flow.finish(input("The code: ").strip()).refresh_token
        print("Put these two into the environment of whatever makes the backups:")
        print(f"FSSPEC_DROPBOX_APP_KEY={key}")
        print(f"FSSPEC_DROPBOX_OAUTH2_REFRESH_TOKEN={token}")


if __name__ == "__main__":
    main()
