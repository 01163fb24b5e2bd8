// ErrorMailAgent
