"""A Discord-shaped server on 127.0.0.1 that discord.py talks to over real HTTP and a real websocket.

In a test of one process:

    async with LoopbackServer.start() as server:            # bot.loopback.server
        discord.http.Route.BASE = server.api
        discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(server.gateway_url)
        ... start the bot with server.token ...
        async with Member(url=server.url, user_id=server.user_id("Ada")) as ada:   # bot.loopback.member
            answer = await ada.slash("train", channel=server.channel_id("lora"), files={"image1": Path("cat.jpg")})
        assert server.violations == []

As a process: `python -m bot.loopback --ready-file PATH`. It imports neither discord nor anything else of bot.
"""
