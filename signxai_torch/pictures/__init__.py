"""Maps as pictures: `signxai_torch.show`.

matplotlib is imported when a picture is drawn, and not before: it is the extra ``show``. Its pyplot, and whatever is
global in it, is never touched.
"""
