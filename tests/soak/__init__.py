"""A mixed load with faults for as long as one likes, and what it leaves behind: nothing."""
