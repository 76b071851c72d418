"""A fingerprint follows all that kept work was made from."""

from armillary.fingerprints import fingerprint


def test_a_fingerprint_follows_settings_contents_and_stamps(tmp_path):
    code, image = tmp_path / "code.py", tmp_path / "image.fits"
    code.write_text("a = 1")
    image.write_bytes(b"x")

    def now(facts, stamped=(str(image), None)):
        return fingerprint(facts, contents=[str(code)], stamped=list(stamped))

    first = now({"threshold": 0.5})
    assert now({"threshold": 0.5}) == first
    assert now({"threshold": 0.4}) != first
    assert now({"threshold": 0.5}, [str(image)]) != first
    code.write_text("a = 2")
    assert now({"threshold": 0.5}) != first
    code.write_text("a = 1")
    assert now({"threshold": 0.5}) == first
    image.write_bytes(b"xy")
    assert now({"threshold": 0.5}) != first
