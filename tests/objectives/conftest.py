import sys
from pathlib import Path

# So that tests here can import the exact reference beside them.
sys.path.insert(0, str(Path(__file__).parent))
