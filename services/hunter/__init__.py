"""hunter"""
