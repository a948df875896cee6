from appliance.tun import engine
