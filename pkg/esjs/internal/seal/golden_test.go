package seal

// Written by the first version, with the keys of [known].
const (
	goldenValue   = "Af_6VYDoVQtfmxA-U1qAAwbWqx86XFcPVJ7lwEsRVtX1IxwbqDTCrMTs5qioqXNPHDUUauY67fuDxQEWgg"
	goldenWrapped = "02f74875cf2afe7e95e4ce9e4cf8c8212888cdba765547f6a0926ab078fab77d1b4f47f04a6d6ec8fec904631d656997cf6c4dfacca86bd8fe02fdbc"
	goldenID      = "b5d20f7feac820ef"
	goldenState   = "92fcbe61ceba819bb72289fcf454b11e9c015bb21ed64aa09ba9e395179928df1882d42a7e3c025b99d0"
)
